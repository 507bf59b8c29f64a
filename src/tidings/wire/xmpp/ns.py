"""Every XML namespace that Tidings speaks has its one name here.

Constants are never renamed; new ones are added at the end under a heading of their own.
"""

from typing import Final

# Streams: RFC 6120, RFC 7395, XEP-0124 and XEP-0206
STREAMS: Final = "http://etherx.jabber.org/streams"
CLIENT: Final = "jabber:client"
SERVER: Final = "jabber:server"
COMPONENT: Final = "jabber:component:accept"
XML: Final = "http://www.w3.org/XML/1998/namespace"
XMLNS: Final = "http://www.w3.org/2000/xmlns/"
FRAMING: Final = "urn:ietf:params:xml:ns:xmpp-framing"
BOSH: Final = "http://jabber.org/protocol/httpbind"
XBOSH: Final = "urn:xmpp:xbosh"
STREAM_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"
STREAM_LIMITS: Final = "urn:xmpp:stream-limits:0"  # XEP-0478
HOST_META: Final = "http://docs.oasis-open.org/ns/xri/xrd-1.0"  # XEP-0156
ALT_CONNECTIONS_WEBSOCKET: Final = "urn:xmpp:alt-connections:websocket"
ALT_CONNECTIONS_BOSH: Final = "urn:xmpp:alt-connections:xbosh"

# Negotiation and log-in
TLS: Final = "urn:ietf:params:xml:ns:xmpp-tls"
SASL: Final = "urn:ietf:params:xml:ns:xmpp-sasl"
SASL2: Final = "urn:xmpp:sasl:2"  # XEP-0388
BIND: Final = "urn:ietf:params:xml:ns:xmpp-bind"
BIND2: Final = "urn:xmpp:bind:0"  # XEP-0386
SESSION: Final = "urn:ietf:params:xml:ns:xmpp-session"
FAST: Final = "urn:xmpp:fast:0"  # XEP-0484
CHANNEL_BINDING: Final = "urn:xmpp:sasl-cb:0"  # XEP-0440
DOWNGRADE: Final = "urn:xmpp:ssdp:0"  # XEP-0474
ADDRESS: Final = "http://jabber.org/protocol/address"  # XEP-0033
SEARCH: Final = "jabber:iq:search"  # XEP-0055
REGISTER: Final = "jabber:iq:register"  # XEP-0077
REGISTER_FEATURE: Final = "http://jabber.org/features/iq-register"
REGISTER_INVITED: Final = "urn:xmpp:ibr-token:0"  # XEP-0445
PREAUTH: Final = "urn:xmpp:pars:0"  # XEP-0379
INVITATION: Final = "urn:xmpp:invite#invitation"  # XEP-0401
INVITE: Final = "urn:xmpp:invite#invite"
INVITE_ACCOUNT: Final = "urn:xmpp:invite#create-account"

# Sessions
SM: Final = "urn:xmpp:sm:3"  # XEP-0198
CARBONS: Final = "urn:xmpp:carbons:2"  # XEP-0280
CSI: Final = "urn:xmpp:csi:0"  # XEP-0352

# RFC 6121
ROSTER: Final = "jabber:iq:roster"
ROSTER_VERSIONING: Final = "urn:xmpp:features:rosterver"
PRE_APPROVAL: Final = "urn:xmpp:features:pre-approval"

# Discovery and utilities
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # XEP-0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
CAPS2: Final = "urn:xmpp:caps"  # XEP-0390
PING: Final = "urn:xmpp:ping"  # XEP-0199
VERSION: Final = "jabber:iq:version"  # XEP-0092
TIME: Final = "urn:xmpp:time"  # XEP-0202
LAST: Final = "jabber:iq:last"  # XEP-0012
EXTDISCO: Final = "urn:xmpp:extdisco:2"  # XEP-0215
COMMANDS: Final = "http://jabber.org/protocol/commands"  # XEP-0050
ADMIN: Final = "http://jabber.org/protocol/admin"  # XEP-0133
DATA_FORMS: Final = "jabber:x:data"  # XEP-0004
DATA_FORMS_VALIDATE: Final = "http://jabber.org/protocol/xdata-validate"  # XEP-0122
IBB: Final = "http://jabber.org/protocol/ibb"  # XEP-0047
LEGACY_EVENT: Final = "jabber:x:event"  # XEP-0022
NICK: Final = "http://jabber.org/protocol/nick"  # XEP-0172
JSON: Final = "urn:xmpp:json:0"  # XEP-0335
OOB: Final = "jabber:x:oob"  # XEP-0066
RSM: Final = "http://jabber.org/protocol/rsm"  # XEP-0059
SERVER_INFO: Final = "http://jabber.org/network/serverinfo"  # XEP-0157

# Profile and storage
BLOCKING: Final = "urn:xmpp:blocking"  # XEP-0191
BLOCKING_ERRORS: Final = "urn:xmpp:blocking:errors"
REPORTING: Final = "urn:xmpp:reporting:1"  # XEP-0377
VCARD: Final = "vcard-temp"  # XEP-0054
VCARD_UPDATE: Final = "vcard-temp:x:update"  # XEP-0153
PRIVATE: Final = "jabber:iq:private"  # XEP-0049
PIE: Final = "urn:xmpp:pie:0"  # XEP-0227
PIE_SCRAM: Final = "urn:xmpp:pie:0#scram"
PIE_MAM: Final = "urn:xmpp:pie:0#mam"
TIDINGS_PORTABLE: Final = "urn:tidings:portable:0"  # when an account was made, and was there last
XINCLUDE: Final = "http://www.w3.org/2001/XInclude"
PRIVACY: Final = "jabber:iq:privacy"  # XEP-0016

# Messages
DELAY: Final = "urn:xmpp:delay"  # XEP-0203
LEGACY_DELAY: Final = "jabber:x:delay"  # XEP-0091
FORWARD: Final = "urn:xmpp:forward:0"  # XEP-0297
CHAT_STATES: Final = "http://jabber.org/protocol/chatstates"  # XEP-0085
RECEIPTS: Final = "urn:xmpp:receipts"  # XEP-0184
MARKERS: Final = "urn:xmpp:chat-markers:0"  # XEP-0333
HINTS: Final = "urn:xmpp:hints"  # XEP-0334
STANZA_ID: Final = "urn:xmpp:sid:0"  # XEP-0359
OFFLINE: Final = "msgoffline"  # XEP-0160
MUC: Final = "http://jabber.org/protocol/muc"  # XEP-0045
MUC_USER: Final = "http://jabber.org/protocol/muc#user"
MUC_ADMIN: Final = "http://jabber.org/protocol/muc#admin"
MUC_OWNER: Final = "http://jabber.org/protocol/muc#owner"
MUC_LIGHT: Final = "urn:xmpp:muclight:0"  # MongooseIM
MUC_LIGHT_CONFIGURATION: Final = "urn:xmpp:muclight:0#configuration"
MUC_LIGHT_AFFILIATIONS: Final = "urn:xmpp:muclight:0#affiliations"
MUC_LIGHT_INFO: Final = "urn:xmpp:muclight:0#info"
MUC_LIGHT_BLOCKING: Final = "urn:xmpp:muclight:0#blocking"
MUC_LIGHT_CREATE: Final = "urn:xmpp:muclight:0#create"
MUC_LIGHT_DESTROY: Final = "urn:xmpp:muclight:0#destroy"
TIDINGS_MUC_LIGHT: Final = "urn:tidings:muclight:0"  # who was put out, and by whom
OCCUPANT_ID: Final = "urn:xmpp:occupant-id:0"  # XEP-0421
AFFILIATION_VERSIONS: Final = "urn:xmpp:muc:affiliations:1"  # XEP-0463
CHANNEL_SEARCH: Final = "urn:xmpp:channel-search:0"  # XEP-0433
HATS: Final = "urn:xmpp:hats:0"  # XEP-0317
PUBSUB: Final = "http://jabber.org/protocol/pubsub"  # XEP-0060
PUBSUB_EVENT: Final = "http://jabber.org/protocol/pubsub#event"

# Archive, inbox and what a message means to them
MAM1: Final = "urn:xmpp:mam:1"  # XEP-0313, as older clients speak it
MAM2: Final = "urn:xmpp:mam:2"  # XEP-0313 and XEP-0441
MAM2_EXTENDED: Final = "urn:xmpp:mam:2#extended"
MAM2_GROUPCHAT_FIELD: Final = "urn:xmpp:mam:2#groupchat-field"
MAM2_GROUPCHAT_AVAILABLE: Final = "urn:xmpp:mam:2#groupchat-available"
FULLTEXT: Final = "urn:xmpp:fulltext:0"  # XEP-0431
CARBONS_RULES: Final = "urn:xmpp:carbons:rules:0"  # XEP-0280 §6.2
CORRECTION: Final = "urn:xmpp:message-correct:0"  # XEP-0308
FASTENING: Final = "urn:xmpp:fasten:0"  # XEP-0422
RETRACTION0: Final = "urn:xmpp:message-retract:0"  # XEP-0424 until version 0.3
RETRACTION1: Final = "urn:xmpp:message-retract:1"  # XEP-0424
RETRACTION_BY_STANZA_ID: Final = "urn:esl:message-retract-by-stanza-id:0"  # MongooseIM
MODERATION0: Final = "urn:xmpp:message-moderate:0"  # XEP-0425 until version 0.2
MODERATION: Final = "urn:xmpp:message-moderate:1"  # XEP-0425
FALLBACK: Final = "urn:xmpp:fallback:0"  # XEP-0428
REACTIONS: Final = "urn:xmpp:reactions:0"  # XEP-0444
DISPLAYED_SYNC: Final = "urn:xmpp:mds:displayed:0"  # XEP-0490
INBOX: Final = "erlang-solutions.com:xmpp:inbox:0"  # MongooseIM
INBOX_CONVERSATION: Final = "erlang-solutions.com:xmpp:inbox:0#conversation"  # MongooseIM
SMART_MARKERS: Final = "esl:xmpp:smart-markers:0"  # MongooseIM
INBOX1: Final = "urn:xmpp:inbox:1"  # XEP-0430
CONFERENCE: Final = "jabber:x:conference"  # XEP-0249
OMEMO0: Final = "eu.siacs.conversations.axolotl"  # XEP-0384 until version 0.3
OMEMO1: Final = "urn:xmpp:omemo:1"  # XEP-0384 until version 0.7
OMEMO2: Final = "urn:xmpp:omemo:2"  # XEP-0384
EME: Final = "urn:xmpp:eme:0"  # XEP-0380
OPENPGP: Final = "urn:xmpp:openpgp:0"  # XEP-0373
OPENPGP_LEGACY: Final = "jabber:x:encrypted"  # XEP-0027
JINGLE_MESSAGE: Final = "urn:xmpp:jingle-message:0"  # XEP-0353
TIDINGS_ARCHIVE: Final = "urn:tidings:archive:0"  # docs/specs
TIDINGS_INBOX: Final = "urn:tidings:inbox:0"  # docs/specs
TIDINGS_TIME: Final = "urn:tidings:time:0"  # docs/specs
TIDINGS_ACCEPTED: Final = "urn:tidings:accepted:0"  # docs/specs
TIDINGS_SYNC: Final = "urn:tidings:sync:0"  # docs/specs
MENTIONS: Final = "urn:xmpp:mentions:0"  # XEP-0513
REFERENCES: Final = "urn:xmpp:reference:0"  # XEP-0372
TIDINGS_ROOMS: Final = "urn:tidings:rooms:0"  # docs/specs
TIDINGS_ROOM_RECEIPTS: Final = "urn:tidings:room-receipts:0"  # docs/specs
TIDINGS_RETRY: Final = "urn:tidings:retry:0"  # docs/specs

# Publish-subscribe
PUBSUB_ERRORS: Final = "http://jabber.org/protocol/pubsub#errors"  # XEP-0060
PUBSUB_PUBLISH_OPTIONS: Final = "http://jabber.org/protocol/pubsub#publish-options"
PUBSUB_CONFIG_NODE_MAX: Final = "http://jabber.org/protocol/pubsub#config-node-max"
PUBSUB_OWNER: Final = "http://jabber.org/protocol/pubsub#owner"
PUBSUB_SUBSCRIBE_OPTIONS: Final = "http://jabber.org/protocol/pubsub#subscribe_options"
PUBSUB_SUBSCRIBE_AUTHORIZATION: Final = "http://jabber.org/protocol/pubsub#subscribe_authorization"
PUBSUB_GET_PENDING: Final = "http://jabber.org/protocol/pubsub#get-pending"
PUBSUB_NODE_CONFIG: Final = "http://jabber.org/protocol/pubsub#node_config"
PUBSUB_META_DATA: Final = "http://jabber.org/protocol/pubsub#meta-data"

# Files
HTTP_UPLOAD: Final = "urn:xmpp:http:upload:0"  # XEP-0363
HTTP_UPLOAD_PURPOSE: Final = "urn:xmpp:http:upload:purpose:0"
