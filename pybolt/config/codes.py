"""The codes of mistakes that are found on the Python side; the engine's begin at E010, those of
declared reads are from E170 to W173 and, of what their databases say, from E240 to W244, those of
`include` from E180 to E184, that of a Django project's URLs is W057."""

CODES: dict[str, str] = {
    "E001": "The file is not valid YAML.",
    "E002": "A key is there twice in one mapping; the second would silently win.",
    "E003": "Tags are not accepted: a configuration is data and makes no objects.",
    "E004": "Anchors, aliases and merge keys are not accepted: every value is where it is read.",
    "E005": "A file is too large or nested too deep, or has too much in it, or there are too many.",
    "E006": "A ${...} cannot be resolved: the variable is not set or the file cannot be read.",
    "E007": "The configuration file cannot be read.",
    "E008": "A handler or an app cannot be imported.",
    "E009": "A handler cannot be what it is declared to be.",
    "E170": "A query cannot be what it is declared to be.",
    "E171": "A query without one of its optional parameters could mean several things.",
    "E180": "An included file says what only the first file may say.",
    "E181": "A pattern of `include` matches no file, or is none.",
    "E182": "An included file lies outside the directory of the configuration.",
    "E183": "A file includes itself, by way of others or not.",
    "E184": "A file is included twice.",
    "W173": "A query has no bound: the number of its rows grows with the table.",
    "E240": "A database refuses the statement of a query.",
    "E241": "A database of queries does not answer.",
    "W242": "A query reads all of a large table.",
    "W243": "No index serves the order of a query's pages.",
    "W244": "The workers may have more connections than the database takes.",
    "W057": "No URL of the Django project answers a route that is left to it.",
}
