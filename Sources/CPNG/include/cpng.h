#pragma once
#include <stddef.h>
#include <stdint.h>

// libpng reports errors by longjmp, which may not cross Swift frames: these functions keep it in C.
// All return 0, or -1 with a message. Memory in, memory out.

enum { CPNG_MESSAGE_BYTES = 256 };

typedef struct {
    uint32_t width, height;
    int bit_depth;
} cpng_header;

// Reads the header of a PNG (signature and IHDR), checked as libpng does.
int cpng_read_header(const uint8_t *bytes, size_t count, cpng_header *header, char message[CPNG_MESSAGE_BYTES]);

// Decodes any PNG to 8-bit RGB, width * height * 3 bytes as the header says. Transparent pixels are laid over white;
// 16-bit samples are rounded, not truncated.
int cpng_decode_rgb(const uint8_t *bytes, size_t count, uint8_t *rgb, char message[CPNG_MESSAGE_BYTES]);

// Encodes 8-bit RGB. *png is to be freed with free().
int cpng_encode_rgb(const uint8_t *rgb, uint32_t width, uint32_t height, uint8_t **png, size_t *count,
                    char message[CPNG_MESSAGE_BYTES]);
