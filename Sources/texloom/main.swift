print("texloom")
