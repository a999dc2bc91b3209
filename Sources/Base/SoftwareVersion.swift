/// The version that files, reports, greetings and `texloom --version` carry.
public let texloomVersion = "0.1.0"
