"""Sends the records of `logging`. Asked for when that is imported, or sent behind `logs`."""
# More of a text is cut: characters of a message, and of a traceback, of which the end says more.
LONG_MESSAGE, LONG_TRACEBACK = 1 << 14, 1 << 13
# The level of the root, unless the code has set it.
DEFAULT_LEVEL = 30
OWN = '_chopsticks'


def watch_records(logging):
    """Has every record that user code makes sent as well, without a change to what its own handlers get.

    Not by a handler: with one, `basicConfig` would do nothing.
    """
    Logger = logging.Logger
    is_enabled, make_record, call_handlers = [
        Logger.__dict__[name] for name in ('isEnabledFor', 'makeRecord', 'callHandlers')]

    def is_wanted(logger, level):
        """Whether a record is made only because of us: the code has set no level for it."""
        if level < log_level or logger.manager.disable >= level or getattr(logger, 'disabled', 0):
            return False
        while not logger.level and logger.parent:
            logger = logger.parent
        return not logger.parent and logger.level == DEFAULT_LEVEL

    def isEnabledFor(self, level):
        return is_enabled(self, level) or is_wanted(self, level)

    def makeRecord(self, *args, **kwargs):
        record = make_record(self, *args, **kwargs)
        if not is_enabled(self, record.levelno):
            record.__dict__[OWN] = True
        return record

    def callHandlers(self, record):
        is_own = record.__dict__.pop(OWN, False)
        is_sent = record.levelno >= log_level and not over and os.getpid() == PID
        if is_sent:
            send_record(logging, record)
        if has_handlers(self):
            if not is_own:
                call_handlers(self, record)
        elif not is_sent:
            if is_own:
                # In a forked process, where nobody else has it.
                sys.stderr.write('%s %s: %s\n' % (record.levelname, record.name, record.getMessage()))
            else:
                call_handlers(self, record)

    basic_config = logging.basicConfig

    def basicConfig(*args, **kwargs):
        # Functions such as `logging.warning` call it for a record that no handler would show.
        if args or kwargs or sys._getframe(1).f_globals is not vars(logging):
            basic_config(*args, **kwargs)
    basicConfig.__module__, basicConfig.__doc__ = 'logging', basic_config.__doc__
    logging.basicConfig = basicConfig

    for function in isEnabledFor, makeRecord, callHandlers:
        function.__module__, function.__doc__ = 'logging', Logger.__dict__[function.__name__].__doc__
        setattr(Logger, function.__name__, function)


def has_handlers(logger):
    while logger:
        if logger.handlers:
            return True
        logger = logger.propagate and logger.parent
    return False


def send_record(logging, record):
    try:
        try:
            text = record.getMessage()
        except Exception as e:
            text = '%r, with arguments that do not fit: %s: %s' % (record.msg, type(e).__name__, e)
        message = {
            u'logger': to_text(record.name), u'level': int(record.levelno), u'name': to_text(record.levelname),
            u'file': to_text(record.pathname), u'line': int(record.lineno), u'message': shortened(text, LONG_MESSAGE)}
        trace = record.exc_text or record.exc_info and record.exc_info[0] and logging.Formatter().formatException(
            record.exc_info)
        stack = getattr(record, 'stack_info', None)
        if trace or stack:
            message[u'traceback'] = shortened('\n'.join(filter(None, (trace, stack))), LONG_TRACEBACK)
    except Exception:
        lost.append(0)
    else:
        tell(LOG, message)


def shortened(text, limit):
    """Text of about `limit` characters: the beginning and, mostly, the end."""
    text = to_text(text)
    left_out = len(text) - limit
    if left_out > 0:
        at = limit // 4
        text = text[:at] + u'\n... %d characters ...\n' % left_out + text[at + left_out:]
    return text
