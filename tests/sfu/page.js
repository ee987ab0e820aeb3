// A page with an unmodified mediasoup-client and a plain RTCPeerConnection, for real browsers against real nodes.
import { Device } from 'mediasoup-client';
import { Device as Device36 } from 'mediasoup-client-36';
import { Device as Device37 } from 'mediasoup-client-37';
import { io } from 'socket.io-client';

const devices = { newest: Device, 3.6: Device36, 3.7: Device37 };
const state = (window.state = { events: [], consumers: [], joined: 0 });

const call = (name, body = {}) =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${name}: no answer`)), 10000);
    state.socket.emit(name, body, (answer) => {
      clearTimeout(late);
      if (answer.ok) resolve(answer.data);
      else reject(new Error(`${name}: ${JSON.stringify(answer.error)}`));
    });
  });
window.call = call;

window.enter = async (url, token) => {
  const socket = (state.socket = io(url, { auth: { token }, transports: ['websocket'] }));
  socket.onAny((name, body) => state.events.push([name, body]));
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  await call('room:join');
};

const microphone = async () => {
  const audio = { autoGainControl: false, noiseSuppression: false, echoCancellation: false };
  return (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks()[0];
};

// Chromium decodes, and counts the energy of, tracks that something plays.
const play = (track) => {
  const audio = document.createElement('audio');
  audio.srcObject = new MediaStream([track]);
  document.body.append(audio);
  return audio.play();
};

async function transport(device, direction, protocol) {
  const options = await call('rtc:create_transport', { direction });
  options.iceCandidates = options.iceCandidates.filter((one) => !protocol || one.protocol === protocol);
  const made = direction === 'send' ? device.createSendTransport(options) : device.createRecvTransport(options);
  made.on('connect', ({ dtlsParameters }, done, fail) =>
    call('rtc:connect_transport', { transport_id: made.id, dtlsParameters }).then(done, fail));
  made.on('produce', ({ kind, rtpParameters }, done, fail) =>
    call('rtc:produce', { transport_id: made.id, kind, rtpParameters }).then(done, fail));
  return made;
}

async function consume(device, receiver, what) {
  const { paused, ...options } = await call('rtc:consume', {
    transport_id: receiver.id,
    rtpCapabilities: device.recvRtpCapabilities ?? device.rtpCapabilities,
    ...what,
  });
  const consumer = await receiver.consume(options);
  state.consumers.push(consumer);
  if (paused) await call('rtc:resume_consumer', { consumer_id: consumer.id });
  await play(consumer.track);
}

window.viaMediasoup = async ({ mic = true, slots = 0, nack = false, protocol, version = 'newest' } = {}) => {
  const device = new devices[version]();
  const { router_rtp_capabilities: routerRtpCapabilities } = await call('rtc:capabilities');
  await device.load({ routerRtpCapabilities });
  const receiver = await transport(device, 'recv', protocol);
  state.transports = [receiver];
  if (slots) {
    for (let slot = 0; slot < slots; slot++) await consume(device, receiver, { slot });
  } else {
    state.socket.on('rtc:producer_added', ({ producer_id, user_id }) => {
      if (user_id !== state.user) consume(device, receiver, { producer_id });
    });
    const { producers } = await call('rtc:producers');
    for (const { producer_id } of producers) await consume(device, receiver, { producer_id });
  }
  if (mic) {
    const sender = await transport(device, 'send', protocol);
    state.transports.push(sender);
    const codecOptions = { opusFec: true, opusDtx: false, opusNack: nack };
    state.producer = await sender.produce({ track: await microphone(), codecOptions });
  }
  state.restart = async () => {
    for (const one of state.transports) {
      const { iceParameters } = await call('rtc:restart_ice', { transport_id: one.id });
      await one.restartIce({ iceParameters });
    }
  };
  state.statistics = () => Promise.all(state.transports.map((one) => one.getStats()));
  state.close = () => state.transports.forEach((one) => one.close());
};

// RED first: the browser then sends it, and takes it.
const preferRed = (connection) => {
  const { codecs } = RTCRtpReceiver.getCapabilities('audio');
  const rank = ({ mimeType }) => ['audio/red', 'audio/opus'].indexOf(mimeType) >>> 0;
  const ordered = [...codecs].sort((a, b) => rank(a) - rank(b));
  for (const transceiver of connection.getTransceivers()) transceiver.setCodecPreferences(ordered);
};

window.viaOffer = async ({ mic = true, slots = 3, red = false } = {}) => {
  const connection = new RTCPeerConnection();
  connection.ontrack = ({ track }) => play(track);
  if (mic) connection.addTransceiver(await microphone(), { direction: 'sendonly' });
  for (let slot = 0; slot < slots; slot++) connection.addTransceiver('audio', { direction: 'recvonly' });
  if (red) preferRed(connection);
  const negotiate = async (options) => {
    await connection.setLocalDescription(await connection.createOffer(options));
    const { sdp } = await call('rtc:offer', { sdp: connection.localDescription.sdp });
    await connection.setRemoteDescription({ type: 'answer', sdp });
  };
  await negotiate();
  state.restart = () => negotiate({ iceRestart: true });
  state.statistics = async () => [await connection.getStats()];
  state.close = () => connection.close();
};

window.figures = async () => {
  const found = { packets: 0, lost: 0, energy: 0, levels: 0, sent: 0, bytes: 0, trip: null, pairs: [], dtls: [], roles: [], srtp: [] };
  for (const report of await state.statistics()) {
    for (const item of report.values()) {
      if (item.type === 'inbound-rtp') {
        found.packets += item.packetsReceived;
        found.bytes += item.bytesReceived;
        found.lost += item.packetsLost;
        found.energy += item.totalAudioEnergy;
        found.levels += item.audioLevel;
      } else if (item.type === 'outbound-rtp') found.sent += item.packetsSent;
      else if (item.type === 'remote-inbound-rtp') found.trip = item.roundTripTime ?? null;
      else if (item.type === 'transport') {
        found.dtls.push(item.dtlsState);
        found.roles.push(item.dtlsRole);
        found.srtp.push(item.srtpCipher);
      } else if (item.type === 'remote-candidate') found.pairs.push(`${item.protocol} ${item.address}`);
    }
  }
  return found;
};
