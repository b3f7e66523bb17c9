// openai-node, as its documentation uses it.
import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const clientOf = (url) => new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const hello = [{ role: "user", content: "hello" }];
const base64 = (path) => readFileSync(path).toString("base64");
const Place = z.object({ city: z.string(), people: z.number() });
const weather = {
  name: "weather",
  description: "Weather of a place.",
  parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
};

export const cases = {
  async chat({ url, model }) {
    const { data, response } = await clientOf(url).chat.completions.create({ model, messages: hello }).withResponse();
    const [choice] = data.choices;
    const { text, finish } = { text: choice.message.content, finish: choice.finish_reason };
    return { text, finish, usage: data.usage, route: response.headers.get("x-intermodal-route") };
  },

  async chatStream({ url, model }) {
    const stream = clientOf(url).chat.completions.stream({
      model,
      messages: hello,
      stream_options: { include_usage: true },
    });
    const pieces = [];
    stream.on("content", (delta) => pieces.push(delta));
    const made = await stream.finalChatCompletion(); // refuses a stream that lacks an id, a choice or a finish reason
    return { pieces, text: made.choices[0].message.content, usage: made.usage, finish: made.choices[0].finish_reason };
  },

  // Reads a word and leaves: the connection is closed with it.
  async chatLeft({ url, model }) {
    for await (const chunk of await clientOf(url).chat.completions.create({ model, messages: hello, stream: true })) {
      if (chunk.choices[0]?.delta.content) return chunk.choices[0].delta.content;
    }
    return null;
  },

  async brokenStreams({ url, model }) {
    const client = clientOf(url);
    const read = async (asked) => {
      const kinds = [];
      try {
        for await (const event of await asked) kinds.push(event.type ?? event.object);
      } catch (error) {
        return { error: error.constructor.name, message: error.message };
      }
      return { last: kinds.at(-1) };
    };
    return {
      chat: await read(client.chat.completions.create({ model, messages: hello, stream: true })),
      responses: await read(client.responses.create({ model, input: "hello", stream: true })),
    };
  },

  async chatMedia({ url, model, picture, sound, pdf }) {
    const content = [{ type: "text", text: "What is this about?" }];
    if (picture) content.push({ type: "image_url", image_url: { url: picture } });
    if (sound) content.push({ type: "input_audio", input_audio: { data: base64(sound), format: "wav" } });
    if (pdf) {
      const file_data = `data:application/pdf;base64,${base64(pdf)}`;
      content.push({ type: "file", file: { filename: basename(pdf), file_data } });
    }
    const asked = clientOf(url).chat.completions.create({ model, messages: [{ role: "user", content }] });
    const { data, response } = await asked.withResponse();
    return { text: data.choices[0].message.content, steps: response.headers.get("x-intermodal-steps") };
  },

  // The client's own loop: the model calls, the function runs, its result goes back, the model answers.
  async chatTools({ url, model, stream }) {
    const places = [];
    const runner = clientOf(url).chat.completions.runTools({
      model,
      messages: [{ role: "user", content: "What is the weather in Bonn?" }],
      stream,
      tools: [
        {
          type: "function",
          function: { ...weather, parse: JSON.parse, function: ({ place }) => (places.push(place), `rain in ${place}`) },
        },
      ],
    });
    return { places, text: await runner.finalContent() };
  },

  async chatParsed({ url, model }) {
    const response_format = zodResponseFormat(Place, "place");
    const made = await clientOf(url).chat.completions.parse({ model, messages: hello, response_format });
    return made.choices[0].message.parsed;
  },

  async responses({ url, model }) {
    const client = clientOf(url);
    const made = await client.responses.create({ model, input: "hello", instructions: "Be brief." });
    return { text: made.output_text, status: made.status, usage: made.usage };
  },

  async responsesStream({ url, model }) {
    const stream = clientOf(url).responses.stream({ model, input: "hello" });
    const pieces = [];
    stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
    const made = await stream.finalResponse();
    return { pieces, text: made.output_text, status: made.status, usage: made.usage };
  },

  async responsesMedia({ url, model, picture, pdf }) {
    const content = [{ type: "input_text", text: "What is this about?" }];
    if (picture) content.push({ type: "input_image", image_url: picture, detail: "auto" });
    if (pdf) {
      const file_data = `data:application/pdf;base64,${base64(pdf)}`;
      content.push({ type: "input_file", filename: basename(pdf), file_data });
    }
    const made = await clientOf(url).responses.create({ model, input: [{ role: "user", content }] });
    return made.output_text;
  },

  // What came out goes back in whole, as the documentation has it: nothing is kept here.
  async responsesTools({ url, model }) {
    const client = clientOf(url);
    const tools = [{ type: "function", ...weather, strict: true }];
    const input = [{ role: "user", content: "What is the weather in Bonn?" }];
    const first = await client.responses.create({ model, input, tools, store: false });
    const [call] = first.output.filter(({ type }) => type === "function_call");
    input.push(...first.output, { type: "function_call_output", call_id: call.call_id, output: "rain" });
    const second = await client.responses.create({ model, input, tools, store: false });
    return { name: call.name, arguments: JSON.parse(call.arguments), text: second.output_text };
  },

  async responsesParsed({ url, model }) {
    const text = { format: zodTextFormat(Place, "place") };
    return (await clientOf(url).responses.parse({ model, input: "hello", text })).output_parsed;
  },

  async transcripts({ url, model, sound }) {
    const { transcriptions } = clientOf(url).audio;
    const plain = await transcriptions.create({ model, file: createReadStream(sound) });
    const response_format = "verbose_json";
    const whole = await transcriptions.create({ model, file: createReadStream(sound), response_format, language: "en" });
    const srt = await transcriptions.create({ model, file: createReadStream(sound), response_format: "srt" });
    return { text: plain.text, seconds: whole.duration, segments: whole.segments.length, srt };
  },

  async speech({ url, model }) {
    const made = await clientOf(url).audio.speech.create({ model, voice: "alloy", input: "Hi.", response_format: "wav" });
    return Buffer.from(await made.arrayBuffer()).subarray(0, 4).toString();
  },

  async pictures({ url, model }) {
    const made = await clientOf(url).images.generate({ model, prompt: "a crane at dawn", n: 2 });
    return made.data.map(({ b64_json }) => Buffer.from(b64_json, "base64").subarray(1, 4).toString());
  },

  async vectors({ url, model, input }) {
    const { embeddings } = clientOf(url);
    const packed = await embeddings.create({ model, input }); // it asks for base64 and unpacks it
    const plain = await embeddings.create({ model, input, encoding_format: "float" });
    return { packed: packed.data.map((row) => row.embedding), plain: plain.data.map((row) => row.embedding) };
  },

  async models({ url }) {
    const names = [];
    for await (const model of clientOf(url).models.list()) names.push(model.id);
    return { names, one: await clientOf(url).models.retrieve("cloud/strong") };
  },

  async errors({ url }) {
    const told = async (asked) => {
      try {
        await asked;
      } catch (error) {
        return { kind: error.constructor.name, status: error.status, code: error.code, message: error.message };
      }
      return null;
    };
    const { chat } = clientOf(url);
    return {
      model: await told(chat.completions.create({ model: "no/such-model", messages: hello })),
      body: await told(chat.completions.create({ model: "auto", messages: hello, n: 3 })),
      stream: await told(chat.completions.create({ model: "no/such-model", messages: hello, stream: true })),
    };
  },
};
