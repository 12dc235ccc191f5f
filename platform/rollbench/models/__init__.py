"""Networks: the U-ViT of the paper and the average of its weights. torch only."""
