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
    int status;
    // The header is read, and the file may end without its end marker; whether it does.
    int is_in_scans, ended_early;
} failure;

// Leaves with libjpeg's message, or with our own where it would call a sound file wrong.
static void on_error(j_common_ptr info) {
    failure *failed = (failure *)info->err;
    int code = info->err->msg_code, parameter = info->err->msg_parm.i[0];
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    failed->status = CJPEG_UNSUPPORTED;
    if (code == JERR_BAD_PRECISION) {
        snprintf(failed->message, CJPEG_MESSAGE_BYTES, "it has %d bits a sample", parameter);
    } else if (code == JERR_SOF_UNSUPPORTED) {
        const char *process = parameter == 0xC3 || parameter == 0xC7 || parameter == 0xCB || parameter == 0xCF
                                  ? "it is lossless"
                                  : "it is hierarchical";
        snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s (process SOF%d)", process, parameter & 15);
    } else if (code == JERR_ARITH_NOTIMPL) {
        snprintf(failed->message, CJPEG_MESSAGE_BYTES, "it is arithmetically coded");
    } else if (code == JERR_IMAGE_TOO_BIG) {
        failed->status = CJPEG_TOO_LARGE;
        snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s", text);
    } else {
        int is_foreign = code == JERR_NOT_COMPILED || code == JERR_CONVERSION_NOTIMPL;
        failed->status = is_foreign ? CJPEG_UNSUPPORTED : CJPEG_DAMAGED;
        snprintf(failed->message, CJPEG_MESSAGE_BYTES, "%s", text);
    }
    longjmp(failed->leave, 1);
}

static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;
    failure *failed = (failure *)info->err;
    switch (info->err->msg_code) {
    // Stray bytes between segments, odd Adobe tags and scan parameters that a sequential file has no use for (of
    // Samsung's cameras) harm no pixel.
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL: return;
    // Where it costs a pixel, another warning follows, or the scans are found incomplete.
    case JWRN_JPEG_EOF:
        if (!failed->is_in_scans) break;
        failed->ended_early = 1;
        return;
    }
    // All else means that pixels were made up.
    on_error(info);
}

// Whether all pixels have come although the file ended early.
static int is_complete(const struct jpeg_decompress_struct *info, int has_several_scans) {
    // An arithmetic decoder takes zeros for what is missing, and says nothing.
    if (info->arith_code) return 0;
    if (!has_several_scans) return 1;
    if (!info->progressive_mode) return 0;
    for (int component = 0; component < info->num_components; component++) {
        for (int coefficient = 0; coefficient < DCTSIZE2; coefficient++) {
            if (info->coef_bits[component][coefficient] != 0) return 0;
        }
    }
    return 1;
}

// Without zeros that a broken copy left at the end: as entropy-coded data they would be grey pixels.
static size_t without_padding(const uint8_t *bytes, size_t count) {
    size_t end = count;
    while (end > 0 && bytes[end - 1] == 0) end--;
    // A zero behind 0xFF belongs to it.
    return end > 0 && end < count && bytes[end - 1] == 0xFF ? end + 1 : end;
}

// Of all components, each filled up to whole blocks of its sampling factors, as libjpeg asks for them.
static size_t coefficient_bytes(j_decompress_ptr info) {
    if (!jpeg_has_multiple_scans(info)) return 0;
    size_t blocks = 0;
    for (int index = 0; index < info->num_components; index++) {
        const jpeg_component_info *component = info->comp_info + index;
        size_t across = (size_t)component->h_samp_factor, down = (size_t)component->v_samp_factor;
        blocks += (component->width_in_blocks + across - 1) / across * across *
                  ((component->height_in_blocks + down - 1) / down * down);
    }
    return blocks * DCTSIZE2 * sizeof(JCOEF);
}

enum { MAX_SCANS = 100 };

// A progressive file may ask for any number of passes over its declared size: a small one could keep us for hours.
static void on_progress(j_common_ptr info) {
    if (((struct jpeg_decompress_struct *)info)->input_scan_number <= MAX_SCANS) return;
    failure *failed = (failure *)info->err;
    snprintf(failed->message, CJPEG_MESSAGE_BYTES, "more than %d progressive scans", MAX_SCANS);
    failed->status = CJPEG_DAMAGED;
    longjmp(failed->leave, 1);
}

static void prepare(struct jpeg_decompress_struct *info, failure *failed, char *message) {
    info->err = jpeg_std_error(&failed->manager);
    failed->manager.error_exit = on_error;
    failed->manager.emit_message = on_message;
    failed->message = message;
    failed->status = CJPEG_DAMAGED;
    failed->is_in_scans = failed->ended_early = 0;
}

int cjpeg_read_header(const uint8_t *bytes, size_t count, cjpeg_header *header, char message[CJPEG_MESSAGE_BYTES]) {
    struct jpeg_decompress_struct info;
    failure failed;
    prepare(&info, &failed, message);
    if (setjmp(failed.leave)) {
        if (failed.status == CJPEG_TOO_LARGE) {
            header->width = info.image_width;
            header->height = info.image_height;
        }
        jpeg_destroy_decompress(&info);
        return failed.status;
    }
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes, without_padding(bytes, count));
    jpeg_read_header(&info, TRUE);
    header->width = info.image_width;
    header->height = info.image_height;
    header->is_grey = info.jpeg_color_space == JCS_GRAYSCALE;
    header->is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
    header->has_adobe_marker = info.saw_Adobe_marker;
    header->coefficient_bytes = coefficient_bytes(&info);
    jpeg_destroy_decompress(&info);
    return 0;
}

int cjpeg_decode(const uint8_t *bytes, size_t count, int channels, uint8_t *pixels,
                 char message[CJPEG_MESSAGE_BYTES]) {
    struct jpeg_decompress_struct info;
    failure failed;
    uint8_t *volatile row = NULL;
    prepare(&info, &failed, message);
    if (setjmp(failed.leave)) {
        jpeg_destroy_decompress(&info);
        free(row);
        return failed.status;
    }
    jpeg_create_decompress(&info);
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    info.progress = &progress;
    jpeg_mem_src(&info, bytes, without_padding(bytes, count));
    jpeg_read_header(&info, TRUE);
    failed.is_in_scans = 1;
    int has_several_scans = jpeg_has_multiple_scans(&info);
    int is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
    int is_mixed = is_cmyk && channels == 3;
    info.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info);
    size_t width = info.output_width;
    row = malloc(width * 4);
    if (!row) {
        snprintf(message, CJPEG_MESSAGE_BYTES, "out of memory");
        jpeg_destroy_decompress(&info);
        return CJPEG_DAMAGED;
    }
    while (info.output_scanline < info.output_height) {
        uint8_t *target = pixels + (size_t)info.output_scanline * width * (size_t)channels;
        JSAMPROW rows[1] = {is_mixed ? row : target};
        jpeg_read_scanlines(&info, rows, 1);
        if (!is_mixed) continue;
        for (size_t x = 0; x < width; x++) {
            unsigned black = row[4 * x + 3];
            for (int channel = 0; channel < 3; channel++)
                target[3 * x + channel] = (uint8_t)((row[4 * x + channel] * black + 127) / 255);
        }
    }
    // Before the end, which frees what is looked at; the file may yet prove to lack its end marker.
    int has_every_pixel = is_complete(&info, has_several_scans);
    jpeg_finish_decompress(&info);
    int is_whole = !failed.ended_early || has_every_pixel;
    jpeg_destroy_decompress(&info);
    free(row);
    if (is_whole) return 0;
    snprintf(message, CJPEG_MESSAGE_BYTES, "the file ends too early (truncated)");
    return CJPEG_DAMAGED;
}
