#pragma once
#include <stddef.h>
#include <stdint.h>

// Little CMS takes pixel formats from macros that Swift cannot import, and reports errors to a function: these
// functions keep both in C. A conversion belongs to one thread at a time; several may exist.

enum { CLCMS_MESSAGE_BYTES = 256 };

// How the pixels to be converted lie in memory.
typedef enum {
    CLCMS_RGB_8,
    // Of the machine's byte order.
    CLCMS_RGB_16,
    // Inks as Adobe stores them: 255 is no ink.
    CLCMS_CMYK_8,
} clcms_layout;

typedef struct clcms_conversion clcms_conversion;

// A conversion from an ICC profile to 8-bit or 16-bit sRGB: relative colorimetric with black point compensation.
// is_grey: the picture is grey, its three samples are equal; a grey profile is right for it and for no other.
// NULL with a message where the profile is damaged or of another kind of picture.
clcms_conversion *clcms_from_profile(const uint8_t *profile, size_t count, clcms_layout layout, int is_grey,
                                     char message[CLCMS_MESSAGE_BYTES]);

// A conversion from what PNG's gAMA and cHRM say. gamma: the exponent that encoded the samples; 1 / 2.2 stands for
// sRGB's own curve, as it does in libpng and browsers. xy: white, red, green and blue, or NULL for sRGB's.
clcms_conversion *clcms_from_gamma(double gamma, const double xy[8], clcms_layout layout,
                                   char message[CLCMS_MESSAGE_BYTES]);

// Whether it changes no 8-bit colour by more than one level: the colours are sRGB already.
int clcms_is_identity(const clcms_conversion *conversion);

// What the profile calls itself, in printable ASCII; empty if it does not say.
const char *clcms_name(const clcms_conversion *conversion);

// Converts pixels. RGB of 8 bits becomes RGB of 8 bits, of 16 bits RGB of 16 bits, both in place if target is source;
// CMYK becomes RGB of 8 bits.
void clcms_convert(clcms_conversion *conversion, const void *source, void *target, size_t pixels);

void clcms_free(clcms_conversion *conversion);
