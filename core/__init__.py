"""What pix2pix is, and the words that training, export and the live runtime share."""
