#pragma once
#include <stddef.h>
#include <stdint.h>

// libjpeg reports errors by a function that may not return; these functions leave it by longjmp inside C.
// All return 0, or -1 with a message. Memory in, memory out.

enum { CJPEG_MESSAGE_BYTES = 256 };

typedef struct {
    uint32_t width, height;
} cjpeg_header;

// Reads the header of a JPEG.
int cjpeg_read_header(const uint8_t *bytes, size_t count, cjpeg_header *header, char message[CJPEG_MESSAGE_BYTES]);

// Decodes a JPEG (grey, YCbCr, CMYK, YCCK; baseline or progressive) to 8-bit RGB, width * height * 3 bytes as the
// header says. What libjpeg only warns of and fills with grey (a truncated file) is an error here.
int cjpeg_decode_rgb(const uint8_t *bytes, size_t count, uint8_t *rgb, char message[CJPEG_MESSAGE_BYTES]);

enum { CJPEG_MAX_SIDE = 65500 };

// Encodes 8-bit RGB, both sides at most CJPEG_MAX_SIDE, with its colour at full resolution; quality is 1 to 100.
// *result is the caller's to free().
int cjpeg_encode_rgb(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, uint8_t **result,
                     unsigned long *count, char message[CJPEG_MESSAGE_BYTES]);
