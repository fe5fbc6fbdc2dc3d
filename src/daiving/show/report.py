def write(reading, folder):
    return folder / "report.html"


def fragment(reading):
    return ""


def to_dict(reading):
    return {}
