"""What all tests stand on."""

import signal

# Whoever starts the tests in the background may have them ignore Ctrl-C and hang-ups, which children inherit and the
# commands then respect; here they are to be obeyed.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)
