class FloatArg:
    @staticmethod
    def parse(text, session):
        word, _, rest = text.partition(" ")
        return float(word), word, rest
