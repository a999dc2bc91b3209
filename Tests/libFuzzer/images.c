// libFuzzer's way into the image decoders in C, with the limits that Imaging puts before them. scripts/fuzz builds it.
#include <stdlib.h>

#include "cjpeg.h"
#include "cpng.h"

enum { MAX_PIXELS = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    char message[CPNG_MESSAGE_BYTES > CJPEG_MESSAGE_BYTES ? CPNG_MESSAGE_BYTES : CJPEG_MESSAGE_BYTES];
    cpng_header png;
    if (cpng_read_header(bytes, count, &png, message) == 0 && png.width && png.height &&
        png.width <= MAX_PIXELS / png.height) {
        uint8_t *rgb = malloc((size_t)png.width * png.height * 3);
        int is_transparent;
        cpng_decode_rgb(bytes, count, NULL, NULL, 8, rgb, &is_transparent, message);
        free(rgb);
        cpng_colours colours;
        if (cpng_read_colours(bytes, count, &colours, message) == 0) free(colours.profile);
    }
    cjpeg_header jpeg;
    if (count && cjpeg_read_header(bytes, count, &jpeg, message) == 0 && jpeg.width && jpeg.height &&
        jpeg.width <= MAX_PIXELS / jpeg.height) {
        int channels = jpeg.is_cmyk && count % 2 ? 4 : 3;
        uint8_t *pixels = malloc((size_t)jpeg.width * jpeg.height * channels);
        cjpeg_decode(bytes, count, channels, pixels, message);
        free(pixels);
    }
    return 0;
}
