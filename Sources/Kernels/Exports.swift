// Tensors, memory and threads are part of every kernel's interface.
@_exported import Tensors
