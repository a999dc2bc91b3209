// Layers take and return tensors, arenas and pools, so NNCore exports them.
@_exported import Kernels
