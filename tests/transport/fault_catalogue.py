"""Everything that can break, by name: what it is, and what has to come of it."""

import faults_of_body
import faults_of_connecting
import faults_of_connection
import faults_of_head
import faults_of_status

CONNECTING = "No connection"
"""The chapter whose faults are no scripts of an exchange: there is none."""

CHAPTERS = {
    CONNECTING: faults_of_connecting.FAULTS,
    "The connection breaks": faults_of_connection.FAULTS,
    "The answer's head or length is wrong": faults_of_head.FAULTS,
    "The answer's body is wrong": faults_of_body.FAULTS,
    "The answer is no": faults_of_status.FAULTS,
}

# A fault of the connection means the same for whatever would have been said on it;
# an answer means the same however it came.
ON_SOCKETS = {**faults_of_connection.FAULTS, **faults_of_head.FAULTS}
AS_HTTP = {**faults_of_body.FAULTS, **faults_of_status.FAULTS}
FAULTS = ON_SOCKETS | AS_HTTP
