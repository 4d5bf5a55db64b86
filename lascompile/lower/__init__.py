"""From an analysed graph to a program: which kernels run on which buffers, in which order."""
