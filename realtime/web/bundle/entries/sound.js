export { Device } from "mediasoup-client";
