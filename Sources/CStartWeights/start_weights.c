#include "CStartWeights.h"

// Kept in the executable: a worker is one file to install. Swift has no such directive, and its compiler takes minutes
// for a literal of a million numbers.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char file[] = {
#embed "drawn-16.safetensors"
};

const void *texloom_start_weights(void) { return file; }
size_t texloom_start_weights_size(void) { return sizeof file; }
