"""aiortc as a WHIP publisher or a WHEP viewer: its own ICE, DTLS and SRTP, FFmpeg's codecs.

client.py publish [--video VP8|H264] [--audio] URL
client.py watch [--video] [--audio] --expect video,audio URL

Prints facts as tests/clients/support/program.js says. A viewer decodes: a frame counts if it is not uniformly grey, audio
if it is not silence.
"""

import argparse
import asyncio
import fractions
import json
import math
import signal
import time
import urllib.request
from urllib.parse import urljoin
from array import array

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.mediastreams import MediaStreamError

WIDTH, HEIGHT, RATE = 320, 180, 15
AUDIO_RATE, AUDIO_FRAME = 48000, 960
ENOUGH = {"video": 20, "audio": 50}
"""Decoded frames of video, and 20 ms frames of audio."""


def tell(fact, **more):
    print(json.dumps({"fact": fact, **more}, separators=(",", ":")), flush=True)


class Clock:
    """Waits for the time of the next frame."""

    def __init__(self, interval):
        self.interval = interval
        self.count = 0
        self.began = None

    async def tick(self):
        now = time.monotonic()
        self.began = self.began or now
        await asyncio.sleep(max(0, self.began + self.count * self.interval - now))
        self.count += 1
        return self.count - 1


class Bars(MediaStreamTrack):
    """Moving bars."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.clock = Clock(1 / RATE)

    async def recv(self):
        count = await self.clock.tick()
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        row = bytes((((x + 4 * count) // 20) * 40) % 220 + 16 for x in range(frame.planes[0].line_size))
        frame.planes[0].update(row * HEIGHT)
        for plane in frame.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = count * (90000 // RATE), fractions.Fraction(1, 90000)
        return frame


class Tone(MediaStreamTrack):
    """A tone of 440 Hz in stereo."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.clock = Clock(AUDIO_FRAME / AUDIO_RATE)

    async def recv(self):
        count = await self.clock.tick()
        start = count * AUDIO_FRAME
        wave = (int(8000 * math.sin(math.tau * 440 * (start + i) / AUDIO_RATE)) for i in range(AUDIO_FRAME))
        frame = av.AudioFrame(format="s16", layout="stereo", samples=AUDIO_FRAME)
        frame.planes[0].update(array("h", (value for value in wave for _ in range(2))).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = start, AUDIO_RATE, fractions.Fraction(1, AUDIO_RATE)
        return frame


def is_picture(frame):
    luma = bytes(frame.reformat(format="gray").planes[0])
    return max(luma) - min(luma) > 50


def is_sound(frame):
    samples = array("h", bytes(frame.planes[0]))
    return max(samples) - min(samples) > 500


async def request(method, url, body=None):
    headers = {"Content-Type": "application/sdp"} if body else {}
    wanted = urllib.request.Request(url, data=body and body.encode(), headers=headers, method=method)
    response = await asyncio.to_thread(urllib.request.urlopen, wanted, timeout=20)
    return response.headers.get("Location"), response.read().decode()


class Viewer:
    """Decodes what arrives and reports each time that it is enough."""

    def __init__(self, kinds):
        self.began = time.monotonic()
        self.seen = dict.fromkeys(kinds, 0)
        self.size = ""

    async def follow(self, track):
        good = is_picture if track.kind == "video" else is_sound
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind not in self.seen or not good(frame):
                continue
            self.seen[track.kind] += 1
            if self.seen[track.kind] == 1:
                tell("media", kind=track.kind, after_ms=round((time.monotonic() - self.began) * 1000))
            if track.kind == "video":
                self.size = f"{frame.width}x{frame.height}"
            if all(count >= ENOUGH[kind] for kind, count in self.seen.items()):
                counts = ", ".join(f"{count} {kind} frames" for kind, count in self.seen.items())
                tell("proof", text=f"decoded {counts} {self.size}".strip())
                self.seen = dict.fromkeys(self.seen, 1)


async def await_reports(peer, kinds):
    """Reports when the relay has sent receiver reports about each track."""
    while True:
        reports = [report for report in (await peer.getStats()).values() if report.type == "remote-inbound-rtp"]
        if {report.kind for report in reports} == kinds:
            break
        await asyncio.sleep(0.1)
    lost = sum(report.packetsLost for report in reports)
    tell("proof", text=f"receiver reports about {' and '.join(sorted(kinds))}, {lost} lost")


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("role", choices=["publish", "watch"])
    arguments.add_argument("--video", nargs="?", const="any")
    arguments.add_argument("--audio", action="store_true")
    arguments.add_argument("--expect", help="the kinds that the stream has")
    arguments.add_argument("url")
    asked = arguments.parse_args()
    kinds = {kind for kind in ("audio", "video") if getattr(asked, kind)}
    sends = asked.role == "publish"

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    viewer = Viewer(asked.expect.split(","))
    tasks = []

    @peer.on("track")
    def on_track(track):
        if not sends:
            tasks.append(asyncio.ensure_future(viewer.follow(track)))

    @peer.on("connectionstatechange")
    def on_state():
        tell(peer.connectionState)

    for kind in sorted(kinds):
        if not sends:
            peer.addTransceiver(kind, direction="recvonly")
            continue
        transceiver = peer.addTransceiver({"audio": Tone, "video": Bars}[kind](), direction="sendonly")
        if kind == "video" and asked.video != "any":
            codecs = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == f"video/{asked.video}"])
    await peer.setLocalDescription(await peer.createOffer())
    viewer.began = time.monotonic()
    location, answer = await request("POST", asked.url, peer.localDescription.sdp)
    await peer.setRemoteDescription(RTCSessionDescription(type="answer", sdp=answer))
    if sends:
        tasks.append(asyncio.ensure_future(await_reports(peer, kinds)))
    await stop.wait()
    await request("DELETE", urljoin(asked.url, location))
    for task in tasks:
        task.cancel()
    await peer.close()


asyncio.run(main())
