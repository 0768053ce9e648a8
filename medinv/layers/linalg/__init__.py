"""Linear algebra of convolutions: what the layers of `medinv.layers` are computed with.

| file | what it knows |
|---|---|
| `padding`, `wrap` | what a convolution sees beyond the edge; the convolution as a matrix |
| `symbol` | circular padding: one small matrix a frequency, and all that follows from it |
| `fourier` | images to frequencies and back |
| `circulant` | the inverse under circular padding, kept ready |
| `cross`, `border` | an image in a larger torus; what other paddings add, and its factors |
| `edges` | what the border asks, from the pixels near it |
| `bordered` | the inverse under other paddings, kept ready |
| `small_border` | the same for small images, in fewer and larger products |
| `dense_border` | the same for volumes, by dense factors |
| `krylov` | BiCGStab, where nothing direct will do |
| `memory` | what the factors take, told beforehand |
| `solve` | which of these serves a layer |
| `implicit` | the solution's derivatives, and the factors that a layer keeps |
| `response` | how far the inverse's impulse response reaches |
| `determinant` | the log-determinant under any padding, from the smallest image that will do |
| `spectrum` | extreme singular values and lost directions under any padding |
| `bounds` | singular values that hold for every image size |
"""
