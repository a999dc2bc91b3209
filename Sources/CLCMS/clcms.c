#include "clcms.h"

#include <lcms2.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clcms_conversion {
    cmsContext context;
    cmsHTRANSFORM transform;
    int is_identity;
    char name[80];
};

static void on_error(cmsContext context, cmsUInt32Number code, const char *text) {
    (void)code;
    char *message = cmsGetContextUserData(context);
    // The first says most.
    if (message && !message[0]) snprintf(message, CLCMS_MESSAGE_BYTES, "%s", text);
}

static cmsContext make_context(char *message) {
    message[0] = 0;
    cmsContext context = cmsCreateContext(NULL, message);
    if (context) cmsSetLogErrorHandlerTHR(context, on_error);
    return context;
}

static void say(char *message, const char *text) {
    if (!message[0]) snprintf(message, CLCMS_MESSAGE_BYTES, "%s", text);
}

// The format that lcms reads: a grey profile reads the first of three equal samples.
static cmsUInt32Number source_format(clcms_layout layout, int is_grey_profile) {
    cmsUInt32Number bytes = layout == CLCMS_RGB_16 ? 2 : 1;
    if (layout == CLCMS_CMYK_8) return TYPE_CMYK_8_REV;
    if (is_grey_profile) return COLORSPACE_SH(PT_GRAY) | CHANNELS_SH(1) | EXTRA_SH(2) | BYTES_SH(bytes);
    return layout == CLCMS_RGB_16 ? TYPE_RGB_16 : TYPE_RGB_8;
}

// lcms would replace the arithmetic of 16 bits, and a CMYK profile's grid, by a coarse grid: dark colours come out up to
// three levels wrong.
static cmsUInt32Number flags(clcms_layout layout) {
    cmsUInt32Number exact = layout == CLCMS_RGB_16   ? cmsFLAGS_NOOPTIMIZE
                            : layout == CLCMS_CMYK_8 ? cmsFLAGS_HIGHRESPRECALC
                                                     : 0;
    return cmsFLAGS_BLACKPOINTCOMPENSATION | exact;
}

static cmsUInt32Number target_format(clcms_layout layout) { return layout == CLCMS_RGB_16 ? TYPE_RGB_16 : TYPE_RGB_8; }

// Greys, and corners and inside of the cube of colours: what a profile other than sRGB would move.
static int is_identity(cmsContext context, cmsHPROFILE profile, cmsHPROFILE srgb, int is_grey) {
    enum { GREYS = 256, STEPS = 9, COUNT = GREYS + STEPS * STEPS * STEPS };
    uint8_t in[COUNT * 3], out[COUNT * 3];
    for (int value = 0; value < GREYS; value++) memset(in + 3 * value, value, 3);
    for (int index = 0; index < COUNT - GREYS; index++) {
        uint8_t *colour = in + 3 * (GREYS + index);
        colour[0] = (uint8_t)(index / (STEPS * STEPS) * 255 / (STEPS - 1));
        colour[1] = (uint8_t)(index / STEPS % STEPS * 255 / (STEPS - 1));
        colour[2] = (uint8_t)(index % STEPS * 255 / (STEPS - 1));
    }
    cmsHTRANSFORM transform =
        cmsCreateTransformTHR(context, profile, source_format(CLCMS_RGB_8, is_grey), srgb, TYPE_RGB_8,
                              INTENT_RELATIVE_COLORIMETRIC, cmsFLAGS_BLACKPOINTCOMPENSATION | cmsFLAGS_NOOPTIMIZE);
    if (!transform) return 0;
    int count = is_grey ? GREYS : COUNT;
    cmsDoTransform(transform, in, out, (cmsUInt32Number)count);
    cmsDeleteTransform(transform);
    for (int index = 0; index < 3 * count; index++) {
        if (abs(in[index] - out[index]) > 1) return 0;
    }
    return 1;
}

static clcms_conversion *make(cmsContext context, cmsHPROFILE profile, clcms_layout layout, int is_grey,
                              char *message) {
    clcms_conversion *conversion = calloc(1, sizeof *conversion);
    cmsHPROFILE srgb = conversion ? cmsCreate_sRGBProfileTHR(context) : NULL;
    if (srgb) {
        conversion->context = context;
        conversion->transform = cmsCreateTransformTHR(context, profile, source_format(layout, is_grey), srgb,
                                                      target_format(layout), INTENT_RELATIVE_COLORIMETRIC, flags(layout));
        if (conversion->transform && layout != CLCMS_CMYK_8)
            conversion->is_identity = is_identity(context, profile, srgb, is_grey);
        cmsCloseProfile(srgb);
    }
    if (!conversion || !conversion->transform) {
        say(message, "Little CMS cannot convert from it");
        free(conversion);
        return NULL;
    }
    cmsGetProfileInfoASCII(profile, cmsInfoDescription, "en", "US", conversion->name, sizeof conversion->name);
    conversion->name[sizeof conversion->name - 1] = 0;
    for (char *at = conversion->name; *at; at++) {
        if (*at < 0x20 || *at > 0x7E) *at = '?';
    }
    // Converting reports nothing, and the message's memory is the caller's.
    cmsSetLogErrorHandlerTHR(context, NULL);
    return conversion;
}

clcms_conversion *clcms_from_profile(const uint8_t *bytes, size_t count, clcms_layout layout, int is_grey,
                                     char message[CLCMS_MESSAGE_BYTES]) {
    cmsContext context = make_context(message);
    if (!context) {
        say(message, "out of memory");
        return NULL;
    }
    clcms_conversion *conversion = NULL;
    cmsHPROFILE profile = count <= UINT32_MAX ? cmsOpenProfileFromMemTHR(context, bytes, (cmsUInt32Number)count) : NULL;
    if (profile) {
        cmsColorSpaceSignature space = cmsGetColorSpace(profile);
        cmsProfileClassSignature class = cmsGetDeviceClass(profile);
        int is_grey_profile = space == cmsSigGrayData;
        int fits = layout == CLCMS_CMYK_8 ? space == cmsSigCmykData
                                          : space == cmsSigRgbData || (is_grey_profile && is_grey);
        if (class == cmsSigLinkClass || class == cmsSigNamedColorClass || class == cmsSigAbstractClass) {
            say(message, "it describes no picture");
        } else if (!fits) {
            say(message, "it belongs to another kind of picture");
        } else {
            conversion = make(context, profile, layout, is_grey_profile, message);
        }
        cmsCloseProfile(profile);
    }
    if (!conversion) {
        say(message, "it is damaged");
        cmsDeleteContext(context);
    }
    return conversion;
}

clcms_conversion *clcms_from_gamma(double gamma, const double xy[8], clcms_layout layout,
                                   char message[CLCMS_MESSAGE_BYTES]) {
    static const double srgb[8] = {0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06};
    cmsContext context = make_context(message);
    if (!context) {
        say(message, "out of memory");
        return NULL;
    }
    const double *at = xy ? xy : srgb;
    cmsToneCurve *curve;
    if (fabs(2.2 * gamma - 1) < 1e-6) {
        // That of the profile which is converted to.
        cmsFloat64Number curve_of_srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
        curve = cmsBuildParametricToneCurve(context, 4, curve_of_srgb);
    } else {
        curve = cmsBuildGamma(context, 1 / gamma);
    }
    cmsHPROFILE profile = NULL;
    if (curve) {
        cmsCIExyY white = {at[0], at[1], 1};
        cmsCIExyYTRIPLE primaries = {{at[2], at[3], 1}, {at[4], at[5], 1}, {at[6], at[7], 1}};
        cmsToneCurve *curves[3] = {curve, curve, curve};
        profile = cmsCreateRGBProfileTHR(context, &white, &primaries, curves);
        cmsFreeToneCurve(curve);
    }
    clcms_conversion *conversion = profile ? make(context, profile, layout, 0, message) : NULL;
    if (profile) cmsCloseProfile(profile);
    if (!conversion) {
        say(message, "they describe no colours");
        cmsDeleteContext(context);
    }
    return conversion;
}

int clcms_is_identity(const clcms_conversion *conversion) { return conversion->is_identity; }

const char *clcms_name(const clcms_conversion *conversion) { return conversion->name; }

void clcms_convert(clcms_conversion *conversion, const void *source, void *target, size_t pixels) {
    enum { STEP = 1 << 20 };
    cmsUInt32Number in = cmsGetTransformInputFormat(conversion->transform);
    cmsUInt32Number out = cmsGetTransformOutputFormat(conversion->transform);
    size_t in_bytes = (T_CHANNELS(in) + T_EXTRA(in)) * T_BYTES(in), out_bytes = T_CHANNELS(out) * T_BYTES(out);
    for (size_t first = 0; first < pixels; first += STEP) {
        size_t count = pixels - first < STEP ? pixels - first : STEP;
        cmsDoTransform(conversion->transform, (const char *)source + first * in_bytes, (char *)target + first * out_bytes,
                       (cmsUInt32Number)count);
    }
}

void clcms_free(clcms_conversion *conversion) {
    if (!conversion) return;
    cmsDeleteTransform(conversion->transform);
    cmsDeleteContext(conversion->context);
    free(conversion);
}
