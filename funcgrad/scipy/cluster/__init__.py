"""Groups of points, as `scipy.cluster` has them."""

from funcgrad.scipy.cluster import vq

__all__ = ["vq"]
