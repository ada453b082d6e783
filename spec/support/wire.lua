-- A client that is closer to the wire than curl: it sends whatever bytes a spec gives it,
-- reads as slowly as wanted, and takes apart Server-Sent Events. Knows HTTP/1.1, no jobs.

local process = require "process"
local socket = require "socket"
local assert = require "luassert"

local wire = {}

---@class Connection
---@field status integer? of the answer, once its head is read
---@field headers table<string, string>? by lower-case name
---@field private socket any
---@field private raw string bytes that have come and are not taken apart yet
---@field private text string of the body
---@field ended "end"|"broken"|nil how the body has ended
local Connection = {}
Connection.__index = Connection

---@type table<Connection, true>
local living = {}

---@param server NginxServer
---@return Connection
function wire.connect(server)
  local opened = assert(socket.connect("127.0.0.1", server.port))
  local self = setmetatable({ socket = opened, raw = "", text = "" }, Connection)
  living[self] = true
  return self
end

---Sends the bytes. False when the other side has closed.
---@param bytes string
---@return boolean
function Connection:send(bytes)
  self.socket:settimeout(10)
  return self.socket:send(bytes) ~= nil
end

function Connection:close()
  living[self] = nil
  self.socket:close()
end

---Closes with a reset instead of a farewell.
function Connection:reset()
  self.socket:setoption("linger", { on = true, timeout = 0 })
  self:close()
end

---Closes whatever was opened: for after_each.
function wire.close_all()
  for one in pairs(living) do one.socket:close() end
  living = {}
end

-- Waits until there is more to read, and reads it. False: nothing came until then.
local function fill(self, deadline)
  local left = deadline - process.now()
  if #socket.select({ self.socket }, nil, left > 0 and left or 0) == 0 then return false end
  self.socket:settimeout(0)
  local all, trouble, part = self.socket:receive(65536)
  self.raw = self.raw .. (all or part)
  if trouble == "closed" then self.closed = true end
  return true
end

---Reads the head of the answer, within 'timeout' seconds (10).
---@param timeout number?
---@return boolean whether there was one
function Connection:read_head(timeout)
  local deadline = process.now() + (timeout or 10)
  local head, rest
  repeat
    head, rest = self.raw:match("^(.-\r\n)\r\n(.*)$")
    if not head and (self.closed or not fill(self, deadline)) then return false end
  until head
  self.raw, self.headers = rest, {}
  self.status = tonumber(head:match("^HTTP/1%.%d (%d%d%d)"))
  for name, value in head:gmatch("\n([^\r\n:]+): ([^\r\n]*)") do
    self.headers[name:lower()] = value
  end
  self.chunked = self.headers["transfer-encoding"] == "chunked"
  return true
end

-- Moves a chunk from 'raw' to 'text'. False: it is not whole yet.
local function take_chunk(self)
  local digits, rest = self.raw:match("^(%x+)\r\n(.*)$")
  local size = digits and tonumber(digits, 16)
  if not size or #rest < size + 2 then return false end
  self.text, self.raw = self.text .. rest:sub(1, size), rest:sub(size + 3)
  if size == 0 then self.ended = "end" end
  return true
end

local function take(self)
  if self.chunked then
    local taken = false
    while not self.ended and take_chunk(self) do taken = true end
    return taken
  end
  local taken = self.raw ~= ""
  self.text, self.raw = self.text .. self.raw, ""
  return taken
end

-- Waits for more of the body. False: it has ended, or nothing came.
local function read_more(self, deadline)
  repeat
    if take(self) then return true end
    if self.closed and not self.ended then
      self.ended = self.chunked and "broken" or "end"
    end
    if self.ended then return false end
  until not fill(self, deadline)
  return false
end

---@class Message of a stream
---@field event string? its type
---@field id string?
---@field data string?
---@field retry string?
---@field comment boolean? whether it is one, and nothing else

local function parse(block)
  local message = {}
  for line in (block .. "\n"):gmatch("(.-)\n") do
    local name, value = line:match("^([^:]*): ?(.*)$")
    assert(name, "no line of an event stream: " .. line)
    if name == "" then message.comment = true else message[name] = value end
  end
  return message
end

---The next message of an event stream, or nil and why there is none: "timeout", or how the
---stream has ended.
---@param timeout number? seconds (10)
---@return Message? message
---@return string? why
function Connection:next(timeout)
  local deadline = process.now() + (timeout or 10)
  while true do
    local block, rest = self.text:match("^(.-)\n\n(.*)$")
    if block then
      self.text = rest
      return parse(block)
    end
    if not read_more(self, deadline) then return nil, self.ended or "timeout" end
  end
end

---Reads messages until one is as 'is_it' wants, or the stream ends.
---@param is_it fun(message: Message): boolean
---@param timeout number? seconds (10)
---@return Message? message
---@return Message[] all that came, it too
function Connection:read_until(is_it, timeout)
  local deadline = process.now() + (timeout or 10)
  local all = {}
  while true do
    local message = self:next(deadline - process.now())
    if not message then return nil, all end
    all[#all + 1] = message
    if is_it(message) then return message, all end
  end
end

---The rest of the body until its end.
---@param timeout number? seconds (10)
---@return string
function Connection:read_body(timeout)
  local deadline = process.now() + (timeout or 10)
  local length = tonumber(self.headers["content-length"] or "")
  while not (length and #self.text >= length) and read_more(self, deadline) do end
  return self.text
end

---All bytes that come until the other side closes, as they come.
---@param timeout number seconds
---@return string
function Connection:read_raw(timeout)
  local deadline = process.now() + timeout
  while not self.closed and fill(self, deadline) do end
  return self.raw
end

---Sends a request without a body and reads the head of its answer.
---@param server NginxServer
---@param target string
---@param headers table<string, string>?
---@param method string? default GET
---@return Connection
function wire.ask(server, target, headers, method)
  local self = wire.connect(server)
  local lines = { ("%s %s HTTP/1.1"):format(method or "GET", target), "Host: localhost" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  self:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
  assert(self:read_head(), "no answer to " .. target)
  return self
end

return wire
