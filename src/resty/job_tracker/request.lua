-- request: what a client has sent, read with care: numbers in the query, preferences,
-- conditions, bodies. What is not as it should be is nil and a sentence for the client.

local request = {}

local MAX_ARGUMENTS = 100

---The arguments of the query as nginx gives them.
---@return table<string, string|true|table> given
---@return string? trouble there are too many
function request.given() return ngx.req.get_uri_args(MAX_ARGUMENTS) end

---The arguments of the query; those given twice count as the first.
---@return table<string, string>? arguments
---@return string? complaint
function request.arguments()
  local given, trouble = request.given()
  if trouble then return nil, "The query has too many arguments." end
  local arguments = {}
  for name, value in pairs(given) do
    if type(value) == "table" then value = value[1] end
    arguments[name] = type(value) == "string" and value or ""
  end
  return arguments
end

---A whole number in decimal digits within the limits.
---@param text string?
---@param low integer
---@param high integer
---@return integer?
function request.integer(text, low, high)
  if not text or not text:find("^%d+$") or #text > 16 then return nil end
  local number = tonumber(text)
  return number >= low and number <= high and number or nil
end

---Seconds that the client wants to wait: ?wait=, else the header Prefer (RFC 7240), which
---may be disregarded where it makes no sense.
---@param arguments table<string, string>
---@return number? seconds
---@return string? complaint
function request.wait(arguments)
  local text = arguments.wait
  if text then
    local seconds = text:find("^%d+%.?%d*$") and #text <= 16 and tonumber(text)
    if not seconds then return nil, "wait must be a number of seconds, such as 20." end
    return seconds
  end
  local prefer = ngx.var.http_prefer
  local preferred = prefer and ("," .. prefer:lower()):match("[,;]%s*wait%s*=%s*\"?(%d+)")
  return preferred and #preferred <= 9 and tonumber(preferred) or nil
end

---Whether If-None-Match names this version, or does not say what the client has.
---@param version integer
---@return boolean
function request.may_have(version)
  local condition = ngx.var.http_if_none_match
  if not condition or condition == "*" then return true end
  return ("," .. condition .. ","):find(('[,%%s/]"%d"[,%%s]'):format(version)) ~= nil
end

---Where a stream is to go on: the header of a reconnecting EventSource, else ?after=.
---@param arguments table<string, string>
---@return integer? version nil: not said
---@return string? complaint
function request.last_event(arguments)
  local text = ngx.var.http_last_event_id or arguments.after
  if not text or text == "" then return nil end
  local version = request.integer(text, 0, 2 ^ 53)
  if not version then return nil, "Last-Event-ID must be a version, a whole number." end
  return version
end

---Whether the client would rather have a web page than JSON: text/html is named in Accept
---with a greater weight than application/json, which "*/*" stands for, too.
---@return boolean
function request.prefers_html()
  local accept = ngx.var.http_accept
  if not accept or not accept:find("text/html", 1, true) then return false end
  local weights = {}
  for range, rest in accept:gmatch("%s*([^,;%s]+)([^,]*)") do
    weights[range:lower()] = tonumber(rest:match(";%s*q%s*=%s*([%d.]+)") or 1) or 0
  end
  local json = weights["application/json"] or weights["application/*"] or weights["*/*"] or 0
  local html = weights["text/html"] or 0
  return html > 0 and (html > json or (html == json and not weights["application/json"]))
end

---Whether the request was made by a page of another site, as the browser says. In plain http
---it does not say so, but names that page's site. Behind a proxy that calls us by another name
---ours looks like another, too: that counts only where the browser did not have to ask us
---first, as it must before it sends JSON.
---@return boolean
function request.is_cross_site()
  local said, origin = ngx.var.http_sec_fetch_site, ngx.var.http_origin
  if said then return said == "cross-site" end
  if not origin or request.is_json() then return false end
  local host = (ngx.var.http_host or ""):lower()
  return origin:lower():match("^https?://(.*)$") ~= host
end

---Whether the request says that its body is JSON.
---@return boolean
function request.is_json()
  local kind = (ngx.var.http_content_type or ""):lower()
  return kind:find("^application/json%s*$") ~= nil or kind:find("^application/json%s*;") ~= nil
end

-- What nginx did not keep in memory, it has put into a file. A body whose length is not said
-- is refused in HTTP/2 and 3 by some versions of ngx_lua (OpenResty 1.25.3's; its pull requests
-- 2174, 2237, 2286), also where there is none: nil, if it may be more than nothing.
local function read_body()
  local read, trouble = pcall(ngx.req.read_body)
  if not read and (ngx.var.http_content_length or ngx.req.http_version() < 2) then
    error(trouble, 0)
  elseif not read then
    return not ngx.var.http_content_type and "" or nil
  end
  local body = ngx.req.get_body_data()
  local path = not body and ngx.req.get_body_file()
  local file = path and io.open(path, "rb")
  if file then
    body = file:read("*a")
    file:close()
  end
  return body or ""
end

local decoder

-- cjson takes NaN and 0x10 for numbers unless it is told not to, and is told once for all
-- who use it: so this is a decoder of our own.
local function decode(text)
  if not decoder then
    decoder = require("cjson.safe").new()
    decoder.decode_invalid_numbers(false)
  end
  return decoder.decode(text)
end

---The body, decoded from JSON, and as it came. nil, "" if there is none; nil, nil, status,
---complaint when it is not to be had.
---@param limit integer bytes
---@return any value
---@return string? body
---@return integer? status
---@return string? complaint
function request.json_body(limit)
  local too_large = ("The body must not be larger than %d bytes."):format(limit)
  if (tonumber(ngx.var.http_content_length) or 0) > limit then return nil, nil, 413, too_large end
  local body = read_body()
  if not body then return nil, nil, 411, "The length of the body must be said." end
  if #body > limit then return nil, nil, 413, too_large end
  if body == "" then return nil, body end
  if not request.is_json() then
    return nil, nil, 415, "The body must be JSON, sent as application/json."
  end
  local value = decode(body)
  if value == nil then return nil, nil, 400, "The body is not valid JSON." end
  return value, body
end

return request
