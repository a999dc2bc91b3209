#include "cjpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_error_mgr manager;
    jmp_buf leave;
    char *message;
} failure;

struct cjpeg_writer {
    struct jpeg_compress_struct info;
    failure failed;
    struct jpeg_destination_mgr destination;
    cjpeg_sink sink;
    void *context;
    uint8_t buffer[1 << 16];
};

static void on_error(j_common_ptr info) {
    failure *failed = (failure *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s", text);
    longjmp(failed->leave, 1);
}

static void begin_buffer(j_compress_ptr info) {
    cjpeg_writer *writer = info->client_data;
    writer->destination.next_output_byte = writer->buffer;
    writer->destination.free_in_buffer = sizeof writer->buffer;
}

static void pass_on(cjpeg_writer *writer, size_t count) {
    if (count == 0 || writer->sink(writer->context, writer->buffer, count) == 0) return;
    snprintf(writer->failed.message, CJPEG_MESSAGE_BYTES, "the file cannot be written");
    longjmp(writer->failed.leave, 1);
}

static boolean empty_buffer(j_compress_ptr info) {
    cjpeg_writer *writer = info->client_data;
    pass_on(writer, sizeof writer->buffer);
    begin_buffer(info);
    return TRUE;
}

static void end_buffer(j_compress_ptr info) {
    cjpeg_writer *writer = info->client_data;
    pass_on(writer, sizeof writer->buffer - writer->destination.free_in_buffer);
}

cjpeg_writer *cjpeg_open_writer(uint32_t width, uint32_t height, int quality, cjpeg_sink sink, void *context,
                                char message[CJPEG_MESSAGE_BYTES]) {
    cjpeg_writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        snprintf(message, CJPEG_MESSAGE_BYTES, "out of memory");
        return NULL;
    }
    struct jpeg_compress_struct *info = &writer->info;
    writer->sink = sink;
    writer->context = context;
    writer->failed.message = message;
    writer->destination.init_destination = begin_buffer;
    writer->destination.empty_output_buffer = empty_buffer;
    writer->destination.term_destination = end_buffer;
    info->err = jpeg_std_error(&writer->failed.manager);
    writer->failed.manager.error_exit = on_error;
    if (setjmp(writer->failed.leave)) {
        cjpeg_free_writer(writer);
        return NULL;
    }
    info->client_data = writer;
    jpeg_create_compress(info);
    info->dest = &writer->destination;
    info->image_width = width;
    info->image_height = height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    // The colour of every pixel: a texture's grain is in it.
    info->comp_info[0].h_samp_factor = 1;
    info->comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(info, TRUE);
    return writer;
}

int cjpeg_write_rows(cjpeg_writer *writer, const uint8_t *rgb, uint32_t rows, char message[CJPEG_MESSAGE_BYTES]) {
    writer->failed.message = message;
    if (setjmp(writer->failed.leave)) return -1;
    JDIMENSION first = writer->info.next_scanline;
    while (writer->info.next_scanline - first < rows) {
        size_t row = writer->info.next_scanline - first;
        JSAMPROW lines[1] = {(JSAMPROW)rgb + row * writer->info.image_width * 3};
        jpeg_write_scanlines(&writer->info, lines, 1);
    }
    return 0;
}

int cjpeg_finish_writer(cjpeg_writer *writer, char message[CJPEG_MESSAGE_BYTES]) {
    writer->failed.message = message;
    if (setjmp(writer->failed.leave)) return -1;
    jpeg_finish_compress(&writer->info);
    return 0;
}

void cjpeg_free_writer(cjpeg_writer *writer) {
    if (!writer) return;
    jpeg_destroy_compress(&writer->info);
    free(writer);
}
