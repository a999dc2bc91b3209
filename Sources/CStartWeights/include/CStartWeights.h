#pragma once
#include <stddef.h>

/// The networks that trainings start from, as a safetensors file of half-precision numbers; made by scripts/pretrain.
/// Never null; lives as long as the program.
const void *_Nonnull texloom_start_weights(void);
size_t texloom_start_weights_size(void);
