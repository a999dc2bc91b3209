#pragma once
#include <stddef.h>
#include <stdint.h>

// libjpeg reports errors by a function that may not return; these functions leave it by longjmp inside C.
// The readers take a file in memory and return 0, or CJPEG_DAMAGED, CJPEG_UNSUPPORTED or CJPEG_TOO_LARGE with a message.

enum { CJPEG_MESSAGE_BYTES = 256 };

enum {
    CJPEG_DAMAGED = -1,
    // A JPEG that libjpeg does not read: 12 bits a sample, a lossless or hierarchical process.
    CJPEG_UNSUPPORTED = -2,
    // A side exceeds CJPEG_MAX_SIDE.
    CJPEG_TOO_LARGE = -3,
};

typedef struct {
    uint32_t width, height;
    int is_grey, is_cmyk;
    // Adobe's files hold inverted inks; without its marker a CMYK file does not say which way they run.
    int has_adobe_marker;
    // What decoding holds of a JPEG with several scans, as progressive ones have: the coefficients of the whole
    // picture. 0 for a single scan.
    size_t coefficient_bytes;
} cjpeg_header;

// Reads the header of a JPEG. Of one that is too large it gives width and height.
int cjpeg_read_header(const uint8_t *bytes, size_t count, cjpeg_header *header, char message[CJPEG_MESSAGE_BYTES]);

// Decodes a JPEG (grey, YCbCr, CMYK, YCCK; baseline or progressive), width * height * channels bytes as the header says.
// channels: 3 for RGB, into which Adobe's inks are mixed without a profile; 4 for a CMYK file's inks as they are stored.
// What libjpeg only warns of and fills with grey (a truncated file) is damage here; a missing end marker is not, if
// every pixel is there.
int cjpeg_decode(const uint8_t *bytes, size_t count, int channels, uint8_t *pixels, char message[CJPEG_MESSAGE_BYTES]);

enum { CJPEG_MAX_SIDE = 65500 };

typedef struct cjpeg_writer cjpeg_writer;
// Takes some bytes of the file, in their order. Anything but 0 ends the encoding.
typedef int (*cjpeg_sink)(void *context, const uint8_t *bytes, size_t count);

// Encodes 8-bit RGB from top to bottom, both sides at most CJPEG_MAX_SIDE, with its colour at full resolution; quality is
// 1 to 100. It holds some rows: Huffman tables that fit the picture would take all of its coefficients in memory.
// NULL with a message where there is no such JPEG. The others return 0, or -1 with a message. After a failure, only
// cjpeg_free_writer may follow.
cjpeg_writer *cjpeg_open_writer(uint32_t width, uint32_t height, int quality, cjpeg_sink sink, void *context,
                                char message[CJPEG_MESSAGE_BYTES]);
// Rows of width * 3 bytes, not more than the picture has.
int cjpeg_write_rows(cjpeg_writer *writer, const uint8_t *rgb, uint32_t rows, char message[CJPEG_MESSAGE_BYTES]);
// Comes after the last row.
int cjpeg_finish_writer(cjpeg_writer *writer, char message[CJPEG_MESSAGE_BYTES]);
void cjpeg_free_writer(cjpeg_writer *writer);
