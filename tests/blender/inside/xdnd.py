"""Drops a file on a window as a file manager does (XDND, version 5), with nothing but libX11.

python3 xdnd.py FILE X Y        X, Y: where on the screen; exit code 0 if the window took the file
"""

import ctypes
import sys
import time
from ctypes import POINTER, Structure, Union, byref, c_char_p, c_int, c_long, c_ubyte, c_ulong, c_void_p
from pathlib import Path

VERSION, SECONDS = 5, 20
CLIENT_MESSAGE, SELECTION_NOTIFY, SELECTION_REQUEST = 33, 31, 30

x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = c_void_p
for name in ("XDefaultRootWindow", "XCreateSimpleWindow", "XInternAtom"):
    getattr(x11, name).restype = c_ulong


class ClientMessage(Structure):
    _fields_ = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p),
                ("window", c_ulong), ("message_type", c_ulong), ("format", c_int), ("data", c_long * 5)]  # fmt: skip


class SelectionRequest(Structure):
    _fields_ = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p),
                ("owner", c_ulong), ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong),
                ("property", c_ulong), ("time", c_ulong)]  # fmt: skip


class SelectionNotify(Structure):
    _fields_ = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p),
                ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong), ("property", c_ulong),
                ("time", c_ulong)]  # fmt: skip


class Event(Union):
    _fields_ = [("type", c_int), ("client", ClientMessage), ("request", SelectionRequest),
                ("notify", SelectionNotify), ("pad", c_long * 24)]  # fmt: skip


display = c_void_p(x11.XOpenDisplay(None))
root = c_ulong(x11.XDefaultRootWindow(display))


def atom(text: str) -> int:
    return x11.XInternAtom(display, c_char_p(text.encode()), 0)


def aware_window(x: int, y: int) -> int:
    """The window at a place on the screen that accepts drops: the deepest one with XdndAware."""
    found, window = 0, root.value
    while window:
        child, at_x, at_y = c_ulong(), c_int(), c_int()
        x11.XTranslateCoordinates(display, root, c_ulong(window), x, y, byref(at_x), byref(at_y), byref(child))
        kind, form, count, left, data = c_ulong(), c_int(), c_ulong(), c_ulong(), POINTER(c_ubyte)()
        x11.XGetWindowProperty(
            display, c_ulong(window), c_ulong(atom("XdndAware")), c_long(0), c_long(1), 0, c_ulong(0), byref(kind),
            byref(form), byref(count), byref(left), byref(data),
        )  # fmt: skip
        found = window if kind.value else found
        window = child.value
    return found


def send(target: int, message: str, *data: int) -> None:
    event = Event()
    event.client.type, event.client.display, event.client.window = CLIENT_MESSAGE, display, target
    event.client.message_type, event.client.format = atom(message), 32
    for index, value in enumerate(data):
        event.client.data[index] = value
    x11.XSendEvent(display, c_ulong(target), 0, c_long(0), byref(event))
    x11.XFlush(display)


def drop(path: Path, x: int, y: int) -> int:
    source = x11.XCreateSimpleWindow(display, root, -10, -10, 1, 1, 0, c_ulong(0), c_ulong(0))
    target, offer = aware_window(x, y), f"{path.resolve().as_uri()}\r\n".encode()
    if not target:
        sys.stderr.write("nothing there takes drops\n")
        return 2
    x11.XSetSelectionOwner(display, c_ulong(atom("XdndSelection")), c_ulong(source), c_ulong(0))
    send(target, "XdndEnter", source, VERSION << 24, atom("text/uri-list"), 0, 0)
    end, dropped, asked = time.monotonic() + SECONDS, False, 0.0
    while time.monotonic() < end:
        if not dropped and time.monotonic() - asked > 0.3:
            send(target, "XdndPosition", source, 0, x << 16 | y, 0, atom("XdndActionCopy"))
            asked = time.monotonic()
        if not x11.XPending(display):
            time.sleep(0.01)
            continue
        event = Event()
        x11.XNextEvent(display, byref(event))
        if event.type == SELECTION_REQUEST:
            give(event.request, offer)
        elif event.type == CLIENT_MESSAGE and event.client.message_type == atom("XdndStatus") and not dropped:
            if event.client.data[1] & 1:
                time.sleep(0.5)  # a hand that holds still before it lets go: Blender polls while the mouse moves
                send(target, "XdndDrop", source, 0, 0, 0, 0)
                dropped = True
        elif event.type == CLIENT_MESSAGE and event.client.message_type == atom("XdndFinished"):
            return 0
    sys.stderr.write("not taken\n" if dropped else "not accepted\n")
    return 1


def give(request: SelectionRequest, offer: bytes) -> None:
    x11.XChangeProperty(
        display, c_ulong(request.requestor), c_ulong(request.property), c_ulong(request.target), 8, 0, offer,
        len(offer),
    )  # fmt: skip
    answer = Event()
    answer.notify.type, answer.notify.display = SELECTION_NOTIFY, display
    for field in ("requestor", "selection", "target", "property", "time"):
        setattr(answer.notify, field, getattr(request, field))
    x11.XSendEvent(display, c_ulong(request.requestor), 0, c_long(0), byref(answer))
    x11.XFlush(display)


if __name__ == "__main__":
    sys.exit(drop(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
