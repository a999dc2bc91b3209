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

// What every reader asks of libpng.
static void be_careful(png_structp png) {
    // A damaged chunk is a damaged file: without its transparency an image would be another image.
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // libpng inflates compressed texts, a thousand times their size, only to have them thrown away. It skips what is
    // named here, and every chunk that it does not know.
    static const png_byte skipped[] =
        "bKGD\0eXIf\0hIST\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0tEXt\0tIME\0zTXt";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, sizeof skipped / 5);
    // ImageLimits judges the sides; libpng would call a larger picture than its own limit, a million, damaged.
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
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
    uint16_t *colours;
    uint32_t width;
    int is_transparent;
    // Of the result.
    int bit_depth;
    void *rgb;
} flattening;

// A row of 16-bit RGBA over white, as RGB of 8 or 16 bits.
static void flatten(void *context, const uint16_t *row, uint32_t y) {
    flattening *how = context;
    uint32_t width = how->width;
    uint16_t *colours = how->colours;
    uint8_t *rgb = (uint8_t *)how->rgb + (size_t)y * width * 3 * (how->bit_depth / 8);
    for (size_t x = 0; x < width; x++) memcpy(colours + 3 * x, row + 4 * x, 3 * sizeof *colours);
    if (how->convert) how->convert(how->context, colours, width);
    for (size_t x = 0; x < width; x++) {
        uint64_t alpha = row[4 * x + 3];
        if (alpha != 65535) how->is_transparent = 1;
        for (int channel = 0; channel < 3; channel++) {
            uint64_t over = colours[3 * x + channel] * alpha + 65535u * (65535u - alpha);  // in 65535 * 65535
            if (how->bit_depth == 16) {
                ((uint16_t *)rgb)[3 * x + channel] = (uint16_t)((over + 65535 / 2) / 65535);
            } else {
                rgb[3 * x + channel] = (uint8_t)((over * 255 + 65535ull * 65535 / 2) / (65535ull * 65535));
            }
        }
    }
}

int cpng_decode_rows(const uint8_t *bytes, size_t count, cpng_take take, void *context,
                     char message[CPNG_MESSAGE_BYTES]) {
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
    if (!rows || !pointers) png_error(png, "out of memory");
    for (uint32_t y = 0; y < held; y++) pointers[y] = rows + row_bytes * y;
    if (is_interlaced) png_read_image(png, (png_bytepp)pointers);
    for (uint32_t y = 0; y < height; y++) {
        if (!is_interlaced) png_read_row(png, rows, NULL);
        take(context, (const uint16_t *)pointers[is_interlaced ? y : 0], y);
    }
    png_read_end(png, NULL);
    png_destroy_read_struct(&png, &info, NULL);
    free(rows);
    free(pointers);
    return 0;
}

int cpng_decode_rgb(const uint8_t *bytes, size_t count, cpng_convert convert, void *context, int bit_depth, void *rgb,
                    int *is_transparent, char message[CPNG_MESSAGE_BYTES]) {
    cpng_header header;
    if (cpng_read_header(bytes, count, &header, message) != 0) return -1;
    flattening how = {convert, context, NULL, header.width, 0, bit_depth, rgb};
    how.colours = malloc(sizeof(uint16_t) * 3 * header.width);
    if (!how.colours) {
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return -1;
    }
    int status = cpng_decode_rows(bytes, count, flatten, &how, message);
    free(how.colours);
    *is_transparent = how.is_transparent;
    return status;
}

struct cpng_writer {
    png_structp png;
    png_infop info;
    size_t row_bytes;
    cpng_write write;
    void *context;
    // libpng's errors are written here, whichever call they belong to.
    char message[CPNG_MESSAGE_BYTES];
};

static void on_write(png_structp png, png_bytep bytes, size_t count) {
    cpng_writer *writer = png_get_io_ptr(png);
    if (writer->write(writer->context, bytes, count) != 0) png_error(png, "the file cannot be written");
}

static void on_flush(png_structp png) { (void)png; }

cpng_writer *cpng_open_writer(uint32_t width, uint32_t height, int channels, int bit_depth, int is_srgb,
                              cpng_write write, void *context, char message[CPNG_MESSAGE_BYTES]) {
    cpng_writer *writer = calloc(1, sizeof *writer);
    if (writer) {
        writer->row_bytes = (size_t)width * channels * (bit_depth / 8);
        writer->write = write;
        writer->context = context;
        writer->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, writer->message, on_error, on_warning);
        writer->info = writer->png ? png_create_info_struct(writer->png) : NULL;
    }
    if (!writer || !writer->info) {
        cpng_free_writer(writer);
        snprintf(message, CPNG_MESSAGE_BYTES, "out of memory");
        return NULL;
    }
    if (setjmp(png_jmpbuf(writer->png))) {
        memcpy(message, writer->message, CPNG_MESSAGE_BYTES);
        cpng_free_writer(writer);
        return NULL;
    }
    png_set_write_fn(writer->png, writer, on_write, on_flush);
    png_set_IHDR(writer->png, writer->info, width, height, bit_depth,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (is_srgb) png_set_sRGB(writer->png, writer->info, PNG_sRGB_INTENT_RELATIVE);
    png_write_info(writer->png, writer->info);
    const uint16_t one = 1;
    if (bit_depth == 16 && *(const uint8_t *)&one) png_set_swap(writer->png);
    return writer;
}

int cpng_write_rows(cpng_writer *writer, const void *rows, uint32_t count, char message[CPNG_MESSAGE_BYTES]) {
    if (setjmp(png_jmpbuf(writer->png))) {
        memcpy(message, writer->message, CPNG_MESSAGE_BYTES);
        return -1;
    }
    for (uint32_t y = 0; y < count; y++) {
        png_write_row(writer->png, (png_const_bytep)rows + (size_t)y * writer->row_bytes);
    }
    return 0;
}

int cpng_finish_writer(cpng_writer *writer, char message[CPNG_MESSAGE_BYTES]) {
    if (setjmp(png_jmpbuf(writer->png))) {
        memcpy(message, writer->message, CPNG_MESSAGE_BYTES);
        return -1;
    }
    png_write_end(writer->png, NULL);
    return 0;
}

void cpng_free_writer(cpng_writer *writer) {
    if (!writer) return;
    png_destroy_write_struct(&writer->png, &writer->info);
    free(writer);
}
