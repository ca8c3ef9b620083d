class OpenerInfo:
    def open(self, session, data, file_name, **keywords):
        raise NotImplementedError

    @property
    def open_args(self):
        return {}
