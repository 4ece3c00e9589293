NAME = "box"
