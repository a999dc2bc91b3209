#include "cjpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

typedef struct {
    struct jpeg_error_mgr manager;
    jmp_buf leave;
    char *message;
} failure;

static void on_error(j_common_ptr info) {
    failure *failed = (failure *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s", text);
    longjmp(failed->leave, 1);
}

static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    // Stray bytes between segments and odd Adobe tags harm no pixel; all else means that pixels were made up.
    int code = info->err->msg_code;
    if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) return;
    on_error(info);
}

enum { MAX_SCANS = 100 };

// A progressive file may ask for any number of passes over its declared size: a small one could keep us for hours.
static void on_progress(j_common_ptr info) {
    if (((struct jpeg_decompress_struct *)info)->input_scan_number <= MAX_SCANS) return;
    failure *failed = (failure *)info->err;
    snprintf(failed->message, CJPEG_MESSAGE_BYTES, "more than %d progressive scans", MAX_SCANS);
    longjmp(failed->leave, 1);
}

static void prepare(struct jpeg_decompress_struct *info, failure *failed, char *message) {
    info->err = jpeg_std_error(&failed->manager);
    failed->manager.error_exit = on_error;
    failed->manager.emit_message = on_message;
    failed->message = message;
}

int cjpeg_read_header(const uint8_t *bytes, size_t count, cjpeg_header *header, char message[CJPEG_MESSAGE_BYTES]) {
    struct jpeg_decompress_struct info;
    failure failed;
    prepare(&info, &failed, message);
    if (setjmp(failed.leave)) {
        jpeg_destroy_decompress(&info);
        return -1;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, count);
    jpeg_read_header(&info, TRUE);
    header->width = info.image_width;
    header->height = info.image_height;
    jpeg_destroy_decompress(&info);
    return 0;
}

int cjpeg_decode_rgb(const uint8_t *bytes, size_t count, uint8_t *rgb, char message[CJPEG_MESSAGE_BYTES]) {
    struct jpeg_decompress_struct info;
    failure failed;
    uint8_t *volatile row = NULL;
    prepare(&info, &failed, message);
    if (setjmp(failed.leave)) {
        jpeg_destroy_decompress(&info);
        free(row);
        return -1;
    }
    jpeg_create_decompress(&info);
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    info.progress = &progress;
    jpeg_mem_src(&info, bytes, count);
    jpeg_read_header(&info, TRUE);
    int is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
    // Adobe's files hold inverted inks.
    int is_inverted = info.saw_Adobe_marker;
    info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info);
    size_t width = info.output_width;
    row = malloc(width * 4);
    if (!row) {
        snprintf(message, CJPEG_MESSAGE_BYTES, "out of memory");
        jpeg_destroy_decompress(&info);
        return -1;
    }
    while (info.output_scanline < info.output_height) {
        uint8_t *target = rgb + (size_t)info.output_scanline * width * 3;
        JSAMPROW rows[1] = {is_cmyk ? row : target};
        jpeg_read_scanlines(&info, rows, 1);
        if (!is_cmyk) continue;
        for (size_t x = 0; x < width; x++) {
            for (int channel = 0; channel < 3; channel++) {
                unsigned ink = row[4 * x + channel], black = row[4 * x + 3];
                if (!is_inverted) {
                    ink = 255 - ink;
                    black = 255 - black;
                }
                target[3 * x + channel] = (uint8_t)((ink * black + 127) / 255);
            }
        }
    }
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    free(row);
    return 0;
}
