"""Where Nightshift runs: the embedded stack, images and manifests."""
