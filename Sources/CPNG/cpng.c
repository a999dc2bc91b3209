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
    // A damaged chunk is a damaged file: without its transparency an image would be another image.
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(png, info);
    header->width = png_get_image_width(png, info);
    header->height = png_get_image_height(png, info);
    header->bit_depth = png_get_bit_depth(png, info);
    png_destroy_read_struct(&png, &info, NULL);
    return 0;
}

// A row of 16-bit big-endian RGBA over white, as 8-bit RGB.
static void flatten(const uint8_t *row, uint32_t width, uint8_t *rgb) {
    for (uint32_t x = 0; x < width; x++) {
        const uint8_t *pixel = row + (size_t)x * 8;
        uint64_t alpha = (uint64_t)pixel[6] << 8 | pixel[7];
        for (int channel = 0; channel < 3; channel++) {
            uint64_t value = (uint64_t)pixel[2 * channel] << 8 | pixel[2 * channel + 1];
            uint64_t over = value * alpha + 65535u * (65535u - alpha);  // in 65535 * 65535
            rgb[(size_t)x * 3 + channel] = (uint8_t)((over * 255 + 65535ull * 65535 / 2) / (65535ull * 65535));
        }
    }
}

int cpng_decode_rgb(const uint8_t *bytes, size_t count, uint8_t *rgb, char message[CPNG_MESSAGE_BYTES]) {
    source from = {bytes, count, 0};
    // Written after setjmp and read after longjmp.
    uint8_t *volatile rows = NULL;
    png_bytep *volatile pointers = NULL;
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
        return -1;
    }
    png_set_read_fn(png, &from, on_read);
    // A damaged chunk is a damaged file: without its transparency an image would be another image.
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info);
    uint32_t height = png_get_image_height(png, info);
    int is_interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
    png_set_expand_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFFFF, PNG_FILLER_AFTER);
    if (is_interlaced) png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t row_bytes = png_get_rowbytes(png, info);
    if (row_bytes != (size_t)width * 8) png_error(png, "unexpected row size");

    // Interlaced images come in passes over the whole picture, others row by row.
    uint32_t held = is_interlaced ? height : 1;
    rows = malloc(row_bytes * held);
    pointers = malloc(sizeof(png_bytep) * held);
    if (!rows || !pointers) png_error(png, "out of memory");
    for (uint32_t y = 0; y < held; y++) pointers[y] = rows + row_bytes * y;
    if (is_interlaced) {
        png_read_image(png, (png_bytepp)pointers);
        for (uint32_t y = 0; y < height; y++) flatten(pointers[y], width, rgb + (size_t)y * width * 3);
    } else {
        for (uint32_t y = 0; y < height; y++) {
            png_read_row(png, rows, NULL);
            flatten(rows, width, rgb + (size_t)y * width * 3);
        }
    }
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    free(pointers);
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
    png_write_info(png, info);
    for (uint32_t y = 0; y < height; y++) png_write_row(png, rgb + (size_t)y * width * 3);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    *result = to.bytes;
    *count = to.count;
    return 0;
}
