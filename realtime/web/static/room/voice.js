// Sound, two ways behind one shape: `publish(track)`, `unpublish()`, `restart()`, `quality()`, `close()`.
// MediasoupVoice speaks through mediasoup-client, OfferVoice with one offer and one answer. Both listen to slots:
// the server routes the loudest speakers into them, so nothing is renegotiated when people come and go.
import { Device } from "../vendor/sound.js";

const SLOTS = 4;

function play(sink, track) {
  const element = document.createElement("audio");
  element.autoplay = true;
  element.srcObject = new MediaStream([track]);
  sink.append(element);
  element.play().catch(() => sink.dispatchEvent(new Event("blocked")));
  return element;
}

async function lossAndDelay(report) {
  let received = 0, lost = 0, delay = null;
  for (const stat of report.values()) {
    if (stat.type === "inbound-rtp" && stat.kind === "audio") {
      received += stat.packetsReceived ?? 0;
      lost += stat.packetsLost ?? 0;
    }
    if (stat.type === "candidate-pair" && stat.nominated && stat.currentRoundTripTime !== undefined) {
      delay = Math.round(stat.currentRoundTripTime * 1000);
    }
  }
  return { received, lost, delay };
}

export class MediasoupVoice {
  constructor(command, sink) {
    this.command = command;
    this.sink = sink;
    this.device = new Device();
    this.elements = [];
  }

  async open() {
    const { router_rtp_capabilities } = await this.command("rtc:capabilities");
    await this.device.load({ routerRtpCapabilities: router_rtp_capabilities });
    this.receiving = await this.#transport("recv");
    for (let slot = 0; slot < SLOTS; slot += 1) await this.#hear(slot);
  }

  async publish(track) {
    this.sending ??= await this.#transport("send");
    this.producer = await this.sending.produce({ track, stopTracks: false, codecOptions: { opusDtx: true, opusFec: true } });
  }

  async unpublish() {
    const producer = this.producer;
    this.producer = null;
    if (!producer) return;
    producer.close();
    await this.command("rtc:close_producer", { producer_id: producer.id });
  }

  async restart() {
    for (const transport of [this.sending, this.receiving]) {
      if (!transport) continue;
      const { iceParameters } = await this.command("rtc:restart_ice", { transport_id: transport.id });
      await transport.restartIce({ iceParameters });
    }
  }

  async quality() {
    return this.receiving ? lossAndDelay(await this.receiving.getStats()) : null;
  }

  close() {
    this.sending?.close();
    this.receiving?.close();
    for (const element of this.elements) element.remove();
  }

  async #transport(direction) {
    const made = await this.command("rtc:create_transport", { direction });
    const transport = direction === "send" ? this.device.createSendTransport(made) : this.device.createRecvTransport(made);
    transport.on("connect", ({ dtlsParameters }, done, failed) => {
      this.command("rtc:connect_transport", { transport_id: transport.id, dtlsParameters }).then(done, failed);
    });
    transport.on("produce", ({ kind, rtpParameters }, done, failed) => {
      this.command("rtc:produce", { transport_id: transport.id, kind, rtpParameters }).then(done, failed);
    });
    transport.on("connectionstatechange", (state) => {
      if (state === "disconnected" || state === "failed") this.onlost?.();
    });
    return transport;
  }

  async #hear(slot) {
    const answer = await this.command("rtc:consume", { transport_id: this.receiving.id, slot,
      rtpCapabilities: this.device.recvRtpCapabilities ?? this.device.rtpCapabilities });
    const { id, producerId, kind, rtpParameters } = answer;
    const consumer = await this.receiving.consume({ id, producerId, kind, rtpParameters });
    this.elements.push(play(this.sink, consumer.track));
    await this.command("rtc:resume_consumer", { consumer_id: id });
  }
}

export class OfferVoice {
  constructor(command, sink) {
    this.command = command;
    this.sink = sink;
    this.elements = [];
  }

  async open() {
    this.peer = new RTCPeerConnection();
    this.microphone = this.peer.addTransceiver("audio", { direction: "sendonly" });
    for (let slot = 0; slot < SLOTS; slot += 1) this.peer.addTransceiver("audio", { direction: "recvonly" });
    this.peer.ontrack = ({ track }) => this.elements.push(play(this.sink, track));
    this.peer.onconnectionstatechange = () => {
      if (["disconnected", "failed"].includes(this.peer.connectionState)) this.onlost?.();
    };
    await this.#negotiate({});
  }

  async publish(track) {
    await this.microphone.sender.replaceTrack(track);
  }

  async unpublish() {
    await this.microphone.sender.replaceTrack(null);
  }

  async restart() {
    await this.#negotiate({ iceRestart: true });
  }

  async quality() {
    return lossAndDelay(await this.peer.getStats());
  }

  close() {
    this.peer?.close();
    for (const element of this.elements) element.remove();
  }

  async #negotiate(options) {
    await this.peer.setLocalDescription(await this.peer.createOffer(options));
    const { sdp } = await this.command("rtc:offer", { sdp: this.peer.localDescription.sdp });
    await this.peer.setRemoteDescription({ type: "answer", sdp });
  }
}
