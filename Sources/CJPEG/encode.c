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

static void on_error(j_common_ptr info) {
    failure *failed = (failure *)info->err;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s", text);
    longjmp(failed->leave, 1);
}

int cjpeg_encode_rgb(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, uint8_t **result,
                     unsigned long *count, char message[CJPEG_MESSAGE_BYTES]) {
    struct jpeg_compress_struct info;
    failure failed = {.message = message};
    info.err = jpeg_std_error(&failed.manager);
    failed.manager.error_exit = on_error;
    *result = NULL;
    *count = 0;
    if (setjmp(failed.leave)) {
        jpeg_destroy_compress(&info);
        free(*result);
        *result = NULL;
        return -1;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, result, count);
    info.image_width = width;
    info.image_height = height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    // The colour of every pixel: a texture's grain is in it.
    info.comp_info[0].h_samp_factor = 1;
    info.comp_info[0].v_samp_factor = 1;
    info.optimize_coding = TRUE;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW rows[1] = {(JSAMPROW)rgb + (size_t)info.next_scanline * width * 3};
        jpeg_write_scanlines(&info, rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return 0;
}
