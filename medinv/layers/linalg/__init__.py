"""Linear algebra of convolutions: what the layers of `medinv.layers` are computed with.

| file | what it knows |
|---|---|
| `padding` | what a convolution sees beyond the edge; the convolution as a matrix |
| `symbol` | one small matrix a frequency: inverse, determinant, singular values under circular padding |
| `circulant` | the inverse under circular padding, kept ready |
| `border` | what other paddings add to it |
| `krylov` | BiCGStab, where a border is too large to factorise |
| `solve` | which of these serves a layer, and the derivatives of a solution |
| `spectrum` | extreme singular values, lost directions and determinant under any padding |
| `bounds` | singular values that hold for every image size |
"""
