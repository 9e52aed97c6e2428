"""What has to be known of FFmpeg's formats to read them right; names are FFmpeg's."""

from __future__ import annotations

from typing import Any

from speechxfer.audio.clock import Stamps

#: What a file may be taken for: formats of recordings. FFmpeg's readers of others (games, pictures, text, sound without
#: a header that is known by its suffix) crash on damaged files, or make noise of whatever they are given.
READ = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,asf_o,au,avi,caf,dsf,dss,dts,dtshd,dv,eac3,flac,flv,iff,ircam,loas,matroska,mlp,"
    "mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,qcp,rm,shn,sox,swf,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
#: Those whose headers state the length of a stream.
STATING = ("mov,mp4,m4a,3gp,3g2,mj2", "tta", "wv", "ape", "tak")
#: Those in which recorders do not pause: where time stamps jump, something is missing.
WITHOUT_PAUSES = ("ogg", "flac")
#: Those in which FFmpeg does not know how much packets hold.
UNCOUNTED = ("wav", "w64", "caf")
#: Those whose packets it counts at the rate that they begin with, though that may change.
_COUNTED_WRONG = ("aac", "loas")
#: Decoders that give one packet more at the end than the time stamps cover.
HOLDING_BACK = ("wmav1", "wmav2")
#: FFmpeg's flags of formats without time stamps, which it counts, and of those whose clocks may be set midway.
_COUNTED, _BROADCAST = 0x0100, 0x0200


def stamps(format_: Any) -> Stamps:
    """How far the time stamps of one of PyAV's formats are to be trusted."""
    if format_.name == "ogg":
        return "trusted"  # the flags are those of chains, which are taken apart before
    if format_.flags & _BROADCAST:
        return "broadcast"
    if format_.flags & _COUNTED:
        return "none" if format_.name in _COUNTED_WRONG else "counted"
    return "trusted"
