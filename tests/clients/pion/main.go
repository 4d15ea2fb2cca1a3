// Pion as a WHIP publisher or a WHEP viewer that looks at every RTP packet.
//
//	pion publish [--video H264] [--audio] URL
//	pion watch [--video any] [--audio] --expect video,audio URL
//
// With --turn it gathers relayed candidates alone, from the servers that the answer names.
//
// Prints facts as tests/clients/support/program.js says. The publisher does not encode: it receives RTP on the `ports` that
// it prints.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// Packets of each kind that prove that it goes on.
const enough = 100

var (
	output sync.Mutex
	began  = time.Now()
)

func tell(fact string, more map[string]any) {
	if more == nil {
		more = map[string]any{}
	}
	text, _ := json.Marshal(more)
	rest := strings.TrimPrefix(string(text), "{")
	if rest != "}" {
		rest = "," + rest
	}
	output.Lock()
	defer output.Unlock()
	fmt.Printf("{\"fact\":%q%s\n", fact, rest)
}

func fail(format string, values ...any) {
	tell("failed", map[string]any{"why": fmt.Sprintf(format, values...)})
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("%v", err)
		os.Exit(1)
	}
	return value
}

func main() {
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	video := flags.String("video", "", "its codec, or any")
	audio := flags.Bool("audio", false, "audio")
	expect := flags.String("expect", "", "the kinds that the stream has")
	turn := flags.Bool("turn", false, "connect by TURN alone")
	_ = flags.Parse(os.Args[2:])
	endpoint := flags.Arg(0)

	policy := webrtc.ICETransportPolicyAll
	if *turn {
		policy = webrtc.ICETransportPolicyRelay
	}
	peer := must(webrtc.NewPeerConnection(webrtc.Configuration{ICETransportPolicy: policy}))
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) { tell(state.String(), nil) })
	kinds := map[string]bool{"video": *video != "", "audio": *audio}
	var watcher *watcher
	if os.Args[1] == "publish" {
		publish(peer, kinds)
	} else {
		watcher = watch(peer, kinds, strings.Split(*expect, ","))
	}

	gathered := webrtc.GatheringCompletePromise(peer)
	offer := must(peer.CreateOffer(nil))
	if !*turn {
		must(0, peer.SetLocalDescription(offer))
		<-gathered
		offer = *peer.LocalDescription()
	}
	began = time.Now()
	request := must(http.NewRequest(http.MethodPost, endpoint, strings.NewReader(offer.SDP)))
	request.Header.Set("Content-Type", "application/sdp")
	response := must(http.DefaultClient.Do(request))
	answer := string(must(io.ReadAll(response.Body)))
	if response.StatusCode != http.StatusCreated {
		fail("%s %s", response.Status, answer)
		os.Exit(1)
	}
	if watcher != nil {
		watcher.answer <- answer
	}
	if *turn {
		servers := serversIn(response.Header.Values("Link"))
		must(0, peer.SetConfiguration(webrtc.Configuration{ICEServers: servers, ICETransportPolicy: policy}))
		must(0, peer.SetLocalDescription(offer))
	}
	must(0, peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}))
	session := must(must(url.Parse(endpoint)).Parse(response.Header.Get("Location"))).String()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	must(http.DefaultClient.Do(must(http.NewRequest(http.MethodDelete, session, nil))))
	must(0, peer.Close())
}

var (
	server    = regexp.MustCompile(`^<(turns?:[^>]+)>`)
	parameter = regexp.MustCompile(`([\w-]+)="([^"]*)"`)
)

// serversIn returns the TURN servers of Link headers (RFC 9725, 4.6).
func serversIn(links []string) []webrtc.ICEServer {
	var servers []webrtc.ICEServer
	for _, link := range links {
		url := server.FindStringSubmatch(link)
		if url == nil {
			continue
		}
		values := map[string]string{}
		for _, found := range parameter.FindAllStringSubmatch(link, -1) {
			values[found[1]] = found[2]
		}
		servers = append(servers, webrtc.ICEServer{URLs: url[1:], Username: values["username"], Credential: values["credential"]})
	}
	return servers
}

// publish adds the tracks, passes RTP from ports of its own on to them, and reports once each has had a receiver report.
func publish(peer *webrtc.PeerConnection, kinds map[string]bool) {
	capabilities := map[string]webrtc.RTPCodecCapability{
		"audio": {MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
		"video": {MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
	}
	ports := map[string]any{}
	var reported sync.WaitGroup
	for kind, capability := range capabilities {
		if !kinds[kind] {
			continue
		}
		track := must(webrtc.NewTrackLocalStaticRTP(capability, kind, "pion"))
		transceiver := must(peer.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}))
		socket := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
		ports[kind] = socket.LocalAddr().(*net.UDPAddr).Port
		go func() {
			packet := make([]byte, 1500)
			for {
				length := must(socket.Read(packet))
				if _, err := track.Write(packet[:length]); err != nil && !errors.Is(err, io.ErrClosedPipe) {
					return
				}
			}
		}()
		reported.Add(1)
		go func() {
			awaitReport(transceiver.Sender())
			reported.Done()
		}()
	}
	tell("ports", ports)
	go func() {
		reported.Wait()
		tell("proof", map[string]any{"text": "receiver reports about each track"})
	}()
}

// awaitReport returns once the relay has reported how the sender's packets arrive; goes on reading, since interceptors see
// only what is read.
func awaitReport(sender *webrtc.RTPSender) {
	source := uint32(sender.GetParameters().Encodings[0].SSRC)
	about := func(block rtcp.ReceptionReport) bool { return block.SSRC == source }
	reported := make(chan struct{})
	go func() {
		var once sync.Once
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, packet := range packets {
				if report, ok := packet.(*rtcp.ReceiverReport); ok && slices.ContainsFunc(report.Reports, about) {
					once.Do(func() { close(reported) })
				}
			}
		}
	}()
	<-reported
}

// watcher counts what arrives and compares it with the answer.
type watcher struct {
	answer chan string
	mutex  sync.Mutex
	text   string
	counts map[string]int
}

func watch(peer *webrtc.PeerConnection, kinds map[string]bool, expected []string) *watcher {
	watcher := &watcher{answer: make(chan string, 1), counts: map[string]int{}}
	for _, kind := range expected {
		watcher.counts[kind] = 0
	}
	for kind, codec := range map[string]webrtc.RTPCodecType{"audio": webrtc.RTPCodecTypeAudio, "video": webrtc.RTPCodecTypeVideo} {
		if kinds[kind] {
			must(peer.AddTransceiverFromKind(codec, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}))
		}
	}
	peer.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		go func() {
			for {
				if _, _, err := receiver.ReadRTCP(); err != nil {
					return
				}
			}
		}()
		watcher.follow(track)
	})
	return watcher
}

// section is the part of the answer about one kind.
func (watcher *watcher) section(kind string) string {
	watcher.mutex.Lock()
	defer watcher.mutex.Unlock()
	if watcher.text == "" {
		watcher.text = <-watcher.answer
	}
	for _, section := range strings.Split(watcher.text, "\r\nm=") {
		if strings.HasPrefix(section, kind) {
			return section
		}
	}
	return ""
}

// follow reads a track: one source, the one of the answer; no gap; only extensions of the answer; a keyframe to begin with.
func (watcher *watcher) follow(track *webrtc.TrackRemote) {
	kind := track.Kind().String()
	section := watcher.section(kind)
	if !strings.Contains(section, fmt.Sprintf("a=ssrc:%d ", track.SSRC())) {
		fail("%s comes from %d, which is not in the answer", kind, track.SSRC())
	}
	allowed := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^a=extmap:(\d+)`).FindAllStringSubmatch(section, -1) {
		allowed[match[1]] = true
	}
	codec := strings.TrimPrefix(strings.TrimPrefix(track.Codec().MimeType, "video/"), "audio/")
	next := -1
	decodable := kind == "audio"
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if next >= 0 && int(packet.SequenceNumber) != next {
			fail("%s jumps from %d to %d", kind, next, packet.SequenceNumber)
		}
		next = int(packet.SequenceNumber+1) & 0xffff
		for _, id := range packet.GetExtensionIDs() {
			if !allowed[fmt.Sprint(id)] {
				fail("%s has an extension %d, which was not agreed", kind, id)
			}
		}
		if !decodable {
			if decodable = beginsKeyframe(codec, packet); !decodable {
				fail("video begins with something else than a keyframe")
				return
			}
		}
		watcher.count(kind, codec)
	}
}

// beginsKeyframe is true for the first packet of a keyframe, or of the parameter sets before it.
func beginsKeyframe(codec string, packet *rtp.Packet) bool {
	switch codec {
	case "H264":
		depacketizer := codecs.H264Packet{}
		unit, err := depacketizer.Unmarshal(packet.Payload)
		if err != nil {
			return false
		}
		if len(unit) == 0 { // a fragment: its type is in the second octet
			kind := packet.Payload[1] & 0x1f
			return kind == 5 || kind == 7
		}
		unit = bytes.TrimLeft(unit, "\x00")
		kind := unit[1] & 0x1f
		return kind == 5 || kind == 7 || kind == 9
	case "VP8":
		depacketizer := codecs.VP8Packet{}
		frame, err := depacketizer.Unmarshal(packet.Payload)
		return err == nil && depacketizer.S == 1 && len(frame) > 0 && frame[0]&1 == 0
	default:
		return true
	}
}

func (watcher *watcher) count(kind, codec string) {
	watcher.mutex.Lock()
	defer watcher.mutex.Unlock()
	if _, wanted := watcher.counts[kind]; !wanted {
		fail("%s comes although the stream has none", kind)
	}
	watcher.counts[kind]++
	if watcher.counts[kind] == 1 {
		tell("media", map[string]any{"kind": kind, "codec": codec, "after_ms": time.Since(began).Milliseconds()})
	}
	var parts []string
	for kind, count := range watcher.counts {
		if count < enough {
			return
		}
		parts = append(parts, fmt.Sprintf("%d packets of %s", count, kind))
	}
	for kind := range watcher.counts {
		watcher.counts[kind] = 1
	}
	tell("proof", map[string]any{"text": strings.Join(parts, ", ") + ", none lost, keyframe first"})
}
