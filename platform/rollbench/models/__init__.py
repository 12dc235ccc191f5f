"""Networks: the U-ViT of the paper and the average of its weights. torch only."""

from rollbench.models.uvit import TABLE4, TABLE5, TABLE6, UViT, UViTSize

__all__ = ["TABLE4", "TABLE5", "TABLE6", "UViT", "UViTSize"]
