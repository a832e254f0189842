"""The U-Net: trained on annotation layers, sparse ones too, and run on images of any size."""
