#include "cpng.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *bytes;
    size_t count, offset;
} source;

typedef struct {
    uint8_t *bytes;
    size_t count, capacity;
} sink;

static void on_error(png_structp png, png_const_charp text) {
    char *message = png_get_error_ptr(png);
    snprintf(message, CPNG_MESSAGE_BYTES, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep target, size_t count) {
    source *from = png_get_io_ptr(png);
    if (count > from->count - from->offset) png_error(png, "the file ends too early (truncated)");
    memcpy(target, from->bytes + from->offset, count);
    from->offset += count;
}

static void on_write(png_structp png, png_bytep bytes, size_t count) {
    sink *to = png_get_io_ptr(png);
    if (count > to->capacity - to->count) {
        size_t capacity = to->capacity * 2 + count;
        uint8_t *grown = realloc(to->bytes, capacity);
        if (!grown) png_error(png, "out of memory");
        to->bytes = grown;
        to->capacity = capacity;
    }
    memcpy(to->bytes + to->count, bytes, count);
    to->count += count;
}

static void on_flush(png_structp png) { (void)png; }

// What every reader asks of libpng.
static void be_careful(png_structp png) {
    // A damaged chunk is a damaged file: without its transparency an image would be another image.
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // libpng inflates compressed texts, a thousand times their size, only to have them thrown away. It skips what is
    // named here, and every chunk that it does not know.
    static const png_byte skipped[] =
        "bKGD\0eXIf\0hIST\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, sizeof skipped / 5);
    // Of a colour profile. The largest in use have some 2 MB.
    png_set_chunk_malloc_max(png, CPNG_MAX_CHUNK_BYTES);
}

int cpng_read_header(const uint8_t *bytes, size_t count, cpng_header *header, char message[CPNG_MESSAGE_BYTES]) {
    source from = {bytes, count, 0};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return -1;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return -1;
    }
    png_set_read_fn(png, &from, on_read);
    be_careful(png);
    png_read_info(png, info);
    header->width = png_get_image_width(png, info);
    header->height = png_get_image_height(png, info);
    header->bit_depth = png_get_bit_depth(png, info);
    header->is_interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

int cpng_read_colours(const uint8_t *bytes, size_t count, cpng_colours *colours, char message[CPNG_MESSAGE_BYTES]) {
    source from = {bytes, count, 0};
    memset(colours, 0, sizeof *colours);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return -1;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return -1;
    }
    png_set_read_fn(png, &from, on_read);
    be_careful(png);
    png_read_info(png, info);
    colours->is_grey = !(png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR);
    int intent;
    colours->is_srgb = png_get_sRGB(png, info, &intent) != 0;
    double *xy = colours->xy;
    colours->has_chromaticities =
        png_get_cHRM(png, info, xy, xy + 1, xy + 2, xy + 3, xy + 4, xy + 5, xy + 6, xy + 7) != 0;
    if (!png_get_gAMA(png, info, &colours->gamma)) colours->gamma = 0;
    png_charp name;
    int compression;
    png_bytep profile;
    png_uint_32 profile_bytes;
    if (png_get_iCCP(png, info, &name, &compression, &profile, &profile_bytes)) {
        colours->profile = malloc(profile_bytes);
        if (!colours->profile) png_error(png, "out of memory");
        memcpy(colours->profile, profile, profile_bytes);
        colours->profile_bytes = profile_bytes;
    }
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

typedef struct {
    cpng_convert convert;
    void *context;
    // A row's colours without alpha.
    uint16_t *rgb;
    int is_transparent;
} flattening;

// A row of 16-bit RGBA over white, as 8-bit RGB.
static void flatten(const uint16_t *row, uint32_t width, flattening *how, uint8_t *rgb) {
    uint16_t *colours = how->rgb;
    for (size_t x = 0; x < width; x++) memcpy(colours + 3 * x, row + 4 * x, 3 * sizeof *colours);
    if (how->convert) how->convert(how->context, colours, width);
    for (size_t x = 0; x < width; x++) {
        uint64_t alpha = row[4 * x + 3];
        if (alpha != 65535) how->is_transparent = 1;
        for (int channel = 0; channel < 3; channel++) {
            uint64_t over = colours[3 * x + channel] * alpha + 65535u * (65535u - alpha);  // in 65535 * 65535
            rgb[3 * x + channel] = (uint8_t)((over * 255 + 65535ull * 65535 / 2) / (65535ull * 65535));
        }
    }
}

int cpng_decode_rgb(const uint8_t *bytes, size_t count, cpng_convert convert, void *context, uint8_t *rgb,
                    int *is_transparent, char message[CPNG_MESSAGE_BYTES]) {
    source from = {bytes, count, 0};
    flattening how = {convert, context, NULL, 0};
    // Written after setjmp and read after longjmp.
    uint8_t *volatile rows = NULL;
    png_bytep *volatile pointers = NULL;
    uint16_t *volatile colours = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return -1;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        free(rows);
        free(pointers);
        free(colours);
        return -1;
    }
    png_set_read_fn(png, &from, on_read);
    be_careful(png);
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info);
    uint32_t height = png_get_image_height(png, info);
    int is_interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
    png_set_expand_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFFFF, PNG_FILLER_AFTER);
    const uint16_t one = 1;
    if (*(const uint8_t *)&one) png_set_swap(png);
    if (is_interlaced) png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t row_bytes = png_get_rowbytes(png, info);
    if (row_bytes != (size_t)width * 8) png_error(png, "unexpected row size");

    // Interlaced images come in passes over the whole picture, others row by row.
    uint32_t held = is_interlaced ? height : 1;
    rows = malloc(row_bytes * held);
    pointers = malloc(sizeof(png_bytep) * held);
    colours = malloc(sizeof(uint16_t) * 3 * width);
    if (!rows || !pointers || !colours) png_error(png, "out of memory");
    how.rgb = colours;
    for (uint32_t y = 0; y < held; y++) pointers[y] = rows + row_bytes * y;
    if (is_interlaced) png_read_image(png, (png_bytepp)pointers);
    for (uint32_t y = 0; y < height; y++) {
        if (!is_interlaced) png_read_row(png, rows, NULL);
        flatten((const uint16_t *)pointers[is_interlaced ? y : 0], width, &how, rgb + (size_t)y * width * 3);
    }
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    free(pointers);
    free(colours);
    *is_transparent = how.is_transparent;
    return 0;
}

int cpng_encode_rgb(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **result, size_t *count,
                    char message[CPNG_MESSAGE_BYTES]) {
    sink to = {NULL, 0, 0};
    sink *volatile target = &to;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_write_struct(&png, NULL);
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return -1;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        free(target->bytes);
        return -1;
    }
    png_set_write_fn(png, &to, on_write, on_flush);
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(png, info, PNG_sRGB_INTENT_RELATIVE);
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++) png_write_row(png, rgb + (size_t)y * width * 3);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    *result = to.bytes;
    *count = to.count;
    return 0;
}
