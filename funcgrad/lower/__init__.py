"""From programs to kernels: index maps, fusion, products, the plan of buffers, and the printed Python source."""
