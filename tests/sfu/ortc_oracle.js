// Answers cases of rtpParameters with mediasoup's own rules: JSON lines in, JSON lines out.
const path = require('node:path');
const readline = require('node:readline');

const ortc = require(path.join(process.env.NODE_PATH, 'mediasoup/node/lib/ortc.js'));

function answer({ router, producer, remote, nack }) {
  ortc.validateAndNormalizeRtpParameters(producer);
  const mapping = ortc.getProducerRtpParametersMapping(producer, router);
  const consumable = ortc.getConsumableRtpParameters('audio', producer, router, mapping);
  ortc.validateAndNormalizeRtpCapabilities(remote);
  return ortc.getConsumerRtpParameters({
    consumableRtpParameters: consumable,
    remoteRtpCapabilities: remote,
    pipe: false,
    enableRtx: nack,
  });
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  let result;
  try {
    result = { parameters: answer(JSON.parse(line)) };
  } catch (error) {
    result = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
});
