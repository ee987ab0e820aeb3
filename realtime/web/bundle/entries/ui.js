// Preact with its hooks and the htm template tag: everything a page needs to draw itself.
import htm from "htm";
import { h } from "preact";

export { Component, Fragment, createContext, h, render } from "preact";
export { useCallback, useContext, useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
