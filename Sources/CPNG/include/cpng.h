#pragma once
#include <stddef.h>
#include <stdint.h>

// libpng reports errors by longjmp, which may not cross Swift frames: these functions keep it in C.
// Those that return a status return 0, or -1 with a message. The readers take a file in memory.

enum { CPNG_MESSAGE_BYTES = 256, CPNG_MAX_CHUNK_BYTES = 8 << 20 };

typedef struct {
    uint32_t width, height;
    int bit_depth;
    // Decoding then holds the whole picture with 16 bits: 8 bytes a pixel.
    int is_interlaced;
} cpng_header;

// Reads the header of a PNG (signature and IHDR), checked as libpng does.
int cpng_read_header(const uint8_t *bytes, size_t count, cpng_header *header, char message[CPNG_MESSAGE_BYTES]);

// What a PNG says of its colours, as far as libpng finds it consistent.
typedef struct {
    int is_grey;
    // The sRGB chunk is there, or a profile that libpng knows as sRGB.
    int is_srgb;
    // The iCCP profile, to be freed with free(); NULL if there is none.
    uint8_t *profile;
    size_t profile_bytes;
    // The exponent of gAMA; 0 if there is none.
    double gamma;
    int has_chromaticities;
    // Of cHRM: white, red, green, blue.
    double xy[8];
} cpng_colours;

int cpng_read_colours(const uint8_t *bytes, size_t count, cpng_colours *colours, char message[CPNG_MESSAGE_BYTES]);

// Converts pixels of 16-bit RGB, in the machine's byte order, in place.
typedef void (*cpng_convert)(void *context, uint16_t *rgb, size_t pixels);

// Decodes any PNG to RGB, width * height * 3 samples as the header says, of 8 bits or of 16 in the machine's byte order.
// Colours are converted by convert, if it is given, before transparent pixels are laid over white; 16-bit samples are
// rounded to 8 bits, not truncated. is_transparent: whether any pixel was.
int cpng_decode_rgb(const uint8_t *bytes, size_t count, cpng_convert convert, void *context, int bit_depth, void *rgb,
                    int *is_transparent, char message[CPNG_MESSAGE_BYTES]);

// Takes a row of 16-bit RGBA in the machine's byte order.
typedef void (*cpng_take)(void *context, const uint16_t *rgba, uint32_t y);

// Decodes any PNG row by row, from the top, without a change of its samples: fewer bits are scaled to 16, grey becomes
// RGB.
int cpng_decode_rows(const uint8_t *bytes, size_t count, cpng_take take, void *context,
                     char message[CPNG_MESSAGE_BYTES]);

// A grey or RGB PNG of 8 or 16 bits that is written row by row.
typedef struct cpng_writer cpng_writer;

// Takes the file's bytes in their order. Returns 0, or -1 to end the writing.
typedef int (*cpng_write)(void *context, const uint8_t *bytes, size_t count);

// channels: 1 for grey, 3 for RGB. is_srgb: whether the file says so.
// Returns NULL with a message if it fails.
cpng_writer *cpng_open_writer(uint32_t width, uint32_t height, int channels, int bit_depth, int is_srgb,
                              cpng_write write, void *context, char message[CPNG_MESSAGE_BYTES]);

// The next rows, width * channels samples each, 16-bit ones in the machine's byte order.
int cpng_write_rows(cpng_writer *writer, const void *rows, uint32_t count, char message[CPNG_MESSAGE_BYTES]);

// Ends the file. The writer has to be freed all the same.
int cpng_finish_writer(cpng_writer *writer, char message[CPNG_MESSAGE_BYTES]);

void cpng_free_writer(cpng_writer *writer);
